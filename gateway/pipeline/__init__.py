"""Source to outbox to sink: reading, committing, delivering."""

from gateway.pipeline.counters import Counters
from gateway.pipeline.machines import MachineStates
from gateway.pipeline.run import Pipeline
from gateway.pipeline.settings import PipelineSettings

__all__ = ["Counters", "MachineStates", "Pipeline", "PipelineSettings"]
