-- Messages on their way out; ids rise by one and are never used twice.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    kind TEXT NOT NULL,
    seq INTEGER NOT NULL,
    taken INTEGER NOT NULL, -- ticks: when the gateway took it
    since INTEGER NOT NULL, -- ticks: as taken; of a gap, its begin
    lost INTEGER NOT NULL,  -- values that are lost with it; of a gap, those it tells of
    size INTEGER NOT NULL,  -- bytes of payload
    payload BLOB NOT NULL
);

-- Where each machine's stream stands: the number of its last message.
CREATE TABLE streams (
    machine TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

-- What each source needs to go on after a restart; opaque to us.
CREATE TABLE progress (
    source TEXT PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID;

-- Up to which id each sink's broker has everything.
CREATE TABLE cursors (
    sink TEXT PRIMARY KEY,
    acked INTEGER NOT NULL
) WITHOUT ROWID;

-- The latest description of each machine, kept after delivery.
CREATE TABLE descriptions (
    machine TEXT PRIMARY KEY,
    id INTEGER NOT NULL,
    payload BLOB NOT NULL
);

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
