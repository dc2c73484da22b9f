"""Loads the inspectors, and torch with them, at the first inspection.

torch takes about a second and 200 MB, which a service without inspections does not spend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import InspectionUnavailable

if TYPE_CHECKING:
    from service.backend.inspectors import Inspectors


class InspectorsOnDemand:
    """Creates :class:`service.backend.inspectors.Inspectors` when it is first called.

    Call it in the inspection thread only. The arguments are those of ``Inspectors``.
    """

    def __init__(
        self,
        artifacts: Mapping[str, StoredArtifact],
        state_key: bytes,
        *,
        bind_states_to_keys: bool,
        most_tokens: int,
    ) -> None:
        self._artifacts = artifacts
        self._state_key = state_key
        self._bound = bind_states_to_keys
        self._most_tokens = most_tokens
        self._loaded: Inspectors | None = None

    def for_artifacts(self, artifacts: Mapping[str, StoredArtifact]) -> InspectorsOnDemand:
        """Inspectors of other artifacts, with those of unchanged models. For use in any thread."""
        changed = InspectorsOnDemand(
            artifacts,
            self._state_key,
            bind_states_to_keys=self._bound,
            most_tokens=self._most_tokens,
        )
        if self._loaded is not None:
            changed._loaded = self._loaded.for_artifacts(artifacts)
        return changed

    def __call__(self) -> Inspectors:
        """The inspectors. Raises InspectionUnavailable if torch cannot be loaded."""
        if self._loaded is None:
            try:
                from service.backend.inspectors import (  # noqa: PLC0415
                    Inspectors,
                    compute_with_one_thread,
                )
            except ImportError as error:
                raise InspectionUnavailable(f"torch cannot be loaded: {error}") from error
            compute_with_one_thread()
            self._loaded = Inspectors(
                self._artifacts,
                self._state_key,
                bind_states_to_keys=self._bound,
                most_tokens=self._most_tokens,
            )
        return self._loaded
