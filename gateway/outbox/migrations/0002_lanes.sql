-- Messages of one machine in their order, so that a machine with a backlog holds up no other.
CREATE INDEX messages_by_machine ON messages (machine);

-- Machines of which a sink's broker has more than its cursor says.
CREATE TABLE ahead (
    sink TEXT NOT NULL,
    machine TEXT NOT NULL,
    acked INTEGER NOT NULL,
    PRIMARY KEY (sink, machine)
) WITHOUT ROWID;
