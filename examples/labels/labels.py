"""Prints how each ReplicaSet is labelled."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import Description, Failure_Retry, Outcome, Request, Watch


class WitWorld(wit_world.WitWorld):
    def describe(self, settings: str | None) -> Description:
        replica_sets = Watch("apps/v1", "ReplicaSet", namespace=None, label_selector=None, field_selector=None)
        return Description("labels", "0.1.0", watches=[replica_sets], owns=[], finalizer=None)

    def reconcile(self, request: Request) -> Outcome:
        try:
            if request.object is not None:
                labels = json.loads(request.object)["metadata"].get("labels", {})
                text = ", ".join(f"{key}={value}" for key, value in labels.items())
                print(f"{request.target.namespace}/{request.target.name} is labelled {text}")
        except Exception as error:
            # What is raised and not caught is a trap, after which a new interpreter is started.
            raise Err(Failure_Retry(repr(error))) from error
        return Outcome(actions=[], children=None, requeue_after_ms=None)
