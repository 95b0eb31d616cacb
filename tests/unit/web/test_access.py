"""Who is let into the web view, who may act, and what comes from another site."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx
import pytest
from starlette.responses import RedirectResponse

from hubq import ConfigError, Hub
from hubq.testing import FakeServer
from hubq.web import User, dashboard, open_to_all, user_in_header
from hubq.web.view.api import END_POINTS
from hubq.web.view.door import Door
from hubq.web.view.pages import PAGES

KILL = {"id": "r"}
SITE = "http://hub.example"


class Site:
    """A view without any worker, and requests to it."""

    def __init__(self, app: Any = None, **settings: Any) -> None:
        self.hub = Hub("chat", redis=FakeServer())
        made: dict[str, Any] = {"auth": open_to_all("ann", "operator"), "read_only": False, **settings}
        self._app = app(self.hub) if app is not None else dashboard(self.hub, **made)

    def ask(self, *requests: tuple[str, str, dict[str, Any]], base: str = SITE) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=self._app)
            try:
                async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                    return [await client.request(method, path, **more) for method, path, more in requests]
            finally:
                await self.hub.aio.close()
                self.hub.close()

        return asyncio.run(all_of_them())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask(("GET", path, more))[0]

    def post(self, path: str = "/api/child/kill", **more: Any) -> httpx.Response:
        return self.ask(("POST", path, {"json": KILL, **more}))[0]


def in_cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"hubq_csrf={token}"}


@pytest.mark.parametrize("point", [point for point in END_POINTS if point.acts], ids=lambda point: point.path)
def test_no_action_is_done_by_a_viewer_nor_in_a_view_that_is_read_only(point: Any) -> None:
    for settings in ({"read_only": True}, {"auth": open_to_all("bob", "viewer")}):
        site = Site(**settings)
        answer = site.post(f"/api{point.path}", json={"no": "body that would be taken"})
        assert answer.status_code == 403
        assert ("read-only" in answer.text) == ("read_only" in settings)


def test_a_view_is_read_only_unless_told_otherwise() -> None:
    hub = Hub("chat", redis=FakeServer())
    site = Site(lambda _: dashboard(hub, auth=open_to_all("ann", "operator")))
    assert site.post().status_code == 403


def test_an_operator_who_is_no_browser_needs_no_token() -> None:
    answer = Site().post()
    assert answer.status_code == 404 and answer.json()["error"] == "UnknownChild"  # it was let through


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site", **in_cookie("t" * 32), "X-HubQ-CSRF": "t" * 32}, "another site"),
        ({"Origin": "http://evil.example", **in_cookie("t" * 32), "X-HubQ-CSRF": "t" * 32}, "another site"),
        ({"Origin": "null"}, "another site"),
        ({"Origin": SITE}, "token"),
        ({"Sec-Fetch-Site": "same-origin", "Origin": SITE}, "token"),
        (in_cookie("t" * 32), "token"),
        ({**in_cookie("t" * 32), "X-HubQ-CSRF": "u" * 32}, "token"),
        ({**in_cookie(""), "X-HubQ-CSRF": ""}, "token"),
        ({"Content-Type": "text/plain"}, "JSON"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "JSON"),
    ],
)
def test_what_another_site_can_have_a_browser_send_is_refused(headers: dict[str, str], said: str) -> None:
    answer = Site().post(headers=headers)
    assert answer.status_code == (415 if said == "JSON" else 403) and said in answer.text


def test_the_page_gives_the_token_with_which_its_actions_pass() -> None:
    site = Site()
    page = site.get("/doctor", headers={"Sec-Fetch-Site": "none"})
    token = page.cookies["hubq_csrf"]
    assert f'content="{token}"' in page.text
    assert "httponly" in page.headers["set-cookie"].lower() and "samesite=strict" in page.headers["set-cookie"].lower()
    browser = {**in_cookie(token), "X-HubQ-CSRF": token, "Origin": SITE, "Sec-Fetch-Site": "same-origin"}
    assert site.post(headers=browser).status_code == 404  # there is no such child: it was let through
    again = site.get("/doctor", headers=in_cookie(token))
    assert "set-cookie" not in again.headers and f'content="{token}"' in again.text


def test_nobody_sees_anything_without_being_let_in() -> None:
    paths = [page.path for page in PAGES] + [f"/api{point.path}" for point in END_POINTS if not point.acts]
    site = Site(auth=lambda request: None)
    streams = ["/api/openapi.json", "/api/events/stream", "/api/child/feed?id=r"]
    answers = site.ask(*(("GET", path, {}) for path in [*paths, *streams]))
    assert {answer.status_code for answer in answers} == {401}
    assert Site(auth=lambda request: None).post().status_code == 401


def test_auth_may_await_and_may_answer_itself() -> None:
    async def login(request: Any) -> Any:
        await asyncio.sleep(0)
        return User("ann") if "x" in request.query_params else RedirectResponse("/login")

    assert Site(auth=login).get("/").headers["location"] == "/login"
    assert Site(auth=login).get("/api/hub").headers["location"] == "/login"
    assert Site(auth=login).get("/api/child?id=r").status_code == 307


def test_a_proxy_says_who_it_is() -> None:
    auth = user_in_header("X-User", operators={"ann"})
    assert Site(auth=auth).get("/").status_code == 401
    assert Site(auth=auth).post(headers={"X-User": "bob"}).status_code == 403
    assert Site(auth=auth).post(headers={"X-User": "ann"}).status_code == 404


def test_every_answer_keeps_other_sites_out() -> None:
    site = Site()
    for answer in site.ask(
        *(("GET", path, {}) for path in ("/", "/nope", "/api/hub", "/static/view.css", "/child?id=%00"))
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert site.get("/").headers["cache-control"] == "no-store"


def test_a_name_is_shown_as_text() -> None:
    page = Site(auth=open_to_all("<script>alert(1)</script>")).get("/children?match=%22%3E%3Cscript%3E")
    assert "<script>alert" not in page.text and '"><script>' not in page.text and "&lt;script&gt;" in page.text


def test_what_cannot_be_meant_is_said_when_the_view_is_made() -> None:
    hub = Hub("chat", redis=FakeServer())
    with pytest.raises(ConfigError, match="give a function"):
        dashboard(hub, auth="ann")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="viewer, operator"):
        User("ann", "root")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give a set"):
        user_in_header("X-User", operators="ann")


@pytest.mark.parametrize("missing", ["jinja2", "starlette"])
def test_without_the_extra_it_is_said_how_to_install_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("hubq.web.view")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"needs {missing}.*pip install 'hubq\[web\]'"):
        dashboard(Hub("chat", redis=FakeServer()), auth=open_to_all())


def test_the_door_lets_in_one_browser_for_each_address() -> None:
    told: list[str] = []
    doors: list[Door] = []

    def make(hub: Hub) -> Door:
        doors.append(Door(hub, "ann", "viewer", "http://127.0.0.1:8765", told.append))
        return doors[-1]

    site = Site(make)
    first = doors[0].address.removeprefix("http://127.0.0.1:8765")
    local = "http://127.0.0.1:8765"
    shut, let_in, again, elsewhere = site.ask(
        ("GET", "/", {}), ("GET", first, {}), ("GET", first, {"headers": {"Cookie": ""}}),
        ("GET", told[0] if told else first, {"headers": {"Host": "evil.example:8765", "Cookie": ""}}), base=local,
    )  # fmt: skip
    assert shut.status_code == 401 and "hubq web" in shut.text
    assert let_in.status_code == 303 and "token" not in let_in.headers["location"]
    assert "hubq_session_8765" in let_in.headers["set-cookie"] and "httponly" in let_in.headers["set-cookie"].lower()
    assert again.status_code == 401 and elsewhere.status_code == 401
    assert len(told) == 1 and told[0] != local + first


def test_another_site_that_leads_here_is_not_let_in() -> None:
    doors: list[Door] = []

    def make(hub: Hub) -> Door:
        doors.append(Door(hub, "ann", "viewer", "http://127.0.0.1:8765", lambda address: None))
        return doors[-1]

    site = Site(make)
    path = doors[0].address.removeprefix("http://127.0.0.1:8765")
    assert site.get(path, headers={"Host": "evil.example:8765"}).status_code == 401
    assert site.get(path, headers={"Host": "localhost:8765"}).status_code == 303
