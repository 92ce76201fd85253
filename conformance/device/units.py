"""What shows that a device has a conformance unit, where its Category in the nodeset alone does not say it.

A type often carries several units, each about one of its members; these are named here, as type and browse path.
Source: titles and tables of OPC 40501-1 1.02, 14.1, and OPC 40001-1 1.04, 19.1.
"""

from __future__ import annotations

MARKS: dict[str, tuple[str, ...]] = {
    "MachineTool Components": ("MachineToolType/Components",),
    "MachineTool FileSystem": ("MachineToolType/FileSystem",),
    "MachineTool MachineToolType Mandatory Nodes": ("MachineToolType",),
    "MachineTool Production Machinery Job Management": ("JobManagementType",),
    "MachineTool Identification SoftwareInformation": ("MachineToolIdentificationType/SoftwareIdentification",),
    "MachineTool Identification Machinery additional": (
        "MachineToolIdentificationType/YearOfConstruction",
        "MachineToolIdentificationType/ProductCode",
        "MachineToolIdentificationType/Model",
        "MachineToolIdentificationType/SoftwareRevision",
    ),
    "MachineTool Equipment ToolIdentification": ("BaseToolType",),
    "MachineTool Equipment Dynamic Tool List": ("ToolListType/NodeVersion",),
    "MachineTool Equipment ToolLife": ("ToolLifeType",),
    "MachineTool Monitoring Basic - Channels": ("ChannelMonitoringType",),
    "MachineTool Monitoring Basic - PowerOnDuration": ("MachineOperationMonitoringType/PowerOnDuration",),
    "MachineTool Monitoring Machinery PowerOnDuration": (
        "MachineOperationMonitoringType/OperationCounters/PowerOnDuration",
    ),
    "MachineTool Monitoring Basic - Stacklight": ("MonitoringType/Stacklight",),
    "MachineTool Monitoring Obligation": ("ObligationType",),
    "MachineTool Monitoring MaintenanceMode": ("MachineOperationModeStateMachineType/MaintenanceMode",),
    "MachineTool Monitoring WorkingUnit": ("WorkingUnitMonitoringType",),
    "MachineTool Notification - Errors and Alerts": ("MessagesType",),
    "MachineTool Production Basic": ("ProductionType",),
    "MachineTool Production LastTransition": ("ProductionStateMachineType/LastTransition",),
    "MachineTool Production Job": ("ProductionJobType",),
    "MachineTool Production Job Available": ("ProductionJobType",),
    "MachineTool Production InterruptionConditionType": (),  # conditions, which only events show
    "MachineTool Production Dynamic Job List": ("ProductionJobListType/NodeVersion",),
    "MachineTool Production Simple Parts Monitoring": (
        "ProductionJobType/PartsGood",
        "ProductionJobType/PartsCompleted",
    ),
    "MachineTool Production PartsProducedInLifetime": (
        "MachineOperationMonitoringType/OperationCounters/PartsProducedInLifetime",
        "ProductionStatisticsType/PartsProducedInLifetime",
    ),
    "MachineTool PrognosisType": ("PrognosisType",),
    "MachineTool Prognoses Dynamic List": ("PrognosisListType/NodeVersion",),
}
"""By unit; several marks are alternatives."""
