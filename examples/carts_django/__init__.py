"""Shopping carts in Django under ASGI, with the web view of their hub for the staff.

    pip install 'hubq[examples]'
    export DJANGO_SETTINGS_MODULE=examples.carts_django.settings
    python -m django migrate
    python -m django createsuperuser
    python -m django hubq worker --name a          # one or more, in terminals of their own
    uvicorn examples.carts_django.asgi:application
    curl -X POST localhost:8000/carts/ann/tea

Log in at http://localhost:8000/admin/ and follow *Web view of the hub*. Whoever is staff looks; a superuser acts, too.
"""
