"""Prints how many replicas each ReplicaSet wants, and tells by an Event of one that wants a single one."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import (
    Action_Event,
    Description,
    Event,
    Failure_Retry,
    Outcome,
    Request,
    Watch,
)


class WitWorld(wit_world.WitWorld):
    def describe(self, settings: str | None) -> Description:
        replica_sets = Watch("apps/v1", "ReplicaSet", namespace=None, label_selector=None, field_selector=None)
        return Description("{{name}}", "0.1.0", watches=[replica_sets], owns=[], finalizer=None)

    def reconcile(self, request: Request) -> Outcome:
        try:
            actions = reconcile(request)
        except Exception as error:
            # What is raised and not caught is a trap, after which an interpreter is started anew.
            raise Err(Failure_Retry(repr(error))) from error
        return Outcome(actions, children=None, requeue_after_ms=None)


def reconcile(request: Request) -> list:
    if request.object is None:  # It is gone.
        return []
    replicas = json.loads(request.object)["spec"].get("replicas", 1)
    print(f"{request.target.namespace}/{request.target.name} wants {replicas}")
    if replicas == 1:
        return [Action_Event(Event("SingleReplica", "no other Pod stands in for its only one", warning=True))]
    return []
