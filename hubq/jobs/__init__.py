"""One-off jobs through RQ, keyed and resumable ones, and what runs by the clock. The only importer of rq."""
