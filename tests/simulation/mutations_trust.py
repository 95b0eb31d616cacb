"""Breaking what is promised of those who can write to Redis: who may ask for what, and what a sealed value is bound to."""

from __future__ import annotations

from typing import Any

from hubq.jobs.serializer import JobSerializer
from hubq.store import control
from hubq.store.seal import Seal
from tests.simulation.mutation import Mutation, Target

TARGETS: dict[str, Target] = {
    "any-ask": Target(control, "_of_client", "place message"),
    "anothers-call": Target(Seal, "proves", "self ask"),
    "unbound-job": Target(JobSerializer, "_place", "self"),
    "any-purpose": Target(JobSerializer, "_place", "self"),
    "any-proof": Target(Seal, "proven", "self proof asked"),
}


def _any_ask(original: Any) -> Any:
    return lambda place, message: message


def _anothers_call(original: Any) -> Any:
    def proves(self: Any, ask: Any) -> None:
        self.opens_any(bytes.fromhex(ask.proof or ""), "ask", *ask.asked)

    return proves


def _unbound_job(original: Any) -> Any:
    return lambda self: ("job",)


def _any_purpose(original: Any) -> Any:
    return lambda self: (*original(self)[:1], *original(self)[-1:])


def _any_proof(original: Any) -> Any:
    return lambda self, proof, *asked: ""


MUTATIONS: dict[str, Mutation] = {
    "any-ask": Mutation("that a client sends a node nothing but what it may ask", broken=_any_ask),
    "anothers-call": Mutation("that an app withdraws and cancels its own calls alone", broken=_anothers_call),
    "unbound-job": Mutation("that a sealed job is one of its id alone", broken=_unbound_job),
    "any-purpose": Mutation("that what is sealed as a result of a job is none of its arguments", broken=_any_purpose),
    "any-proof": Mutation("that a job is stopped by holders of a key alone", broken=_any_proof),
}
