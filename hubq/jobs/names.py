"""The names of children that are about jobs. (Those in RQ's keys: :mod:`hubq.core.job_names`.) Imports nothing, so that a name can be
known without importing rq.
"""

from __future__ import annotations

#: The id of the child that is the clock.
CLOCK = "hubq-clock"
#: Before the key in the id of the child of a key.
PREFIX = "job:"
#: The method of that child which is sent a job.
RUN_JOB = "run_job"
#: The metadata of a resumable job's child has this key: `hubq jobs` knows it by that.
MARK = ("job", "resumable")
