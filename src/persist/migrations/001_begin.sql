-- Everything drbot remembers. Portable types only: times are BIGINT milliseconds, structures are JSON text.

-- One row per accepted delivery: a repeat gets the stored reply. Trimmed by age.
CREATE TABLE deliveries (key TEXT PRIMARY KEY, at BIGINT NOT NULL, reply TEXT NOT NULL);

-- What happened. Append-only; chained over payload hashes, so that a payload may be erased and the chain
-- still be checked.
CREATE TABLE events (
    case_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT,
    payload_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (case_id, seq)
);

-- A case folded up to an event, so that loading a long case costs the same as a short one.
CREATE TABLE snapshots (case_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL, state TEXT NOT NULL);

-- Open incidents in short: what decisions about other cases may see.
CREATE TABLE incidents (case_id TEXT PRIMARY KEY, number BIGINT NOT NULL UNIQUE, summary TEXT NOT NULL);

-- What must be done outside. A row that is leased has lease_until in the future; a row that is done is gone.
CREATE TABLE effects (
    key TEXT PRIMARY KEY,
    case_id TEXT NOT NULL,
    lane BIGINT NOT NULL,
    due BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    owner TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    act TEXT NOT NULL
);
CREATE INDEX effects_by_due ON effects (lane, due);

-- Buttons, forms and approval ids, back to their case.
CREATE TABLE handles (id TEXT PRIMARY KEY, case_id TEXT NOT NULL, at BIGINT NOT NULL);

-- One holder per name.
CREATE TABLE locks (name TEXT PRIMARY KEY, case_id TEXT NOT NULL, at BIGINT NOT NULL);

-- Observations of scheduled and asked detections, trimmed by age; the newest of a runbook holds its streak.
CREATE TABLE samples (
    id TEXT PRIMARY KEY,
    runbook TEXT NOT NULL,
    at BIGINT NOT NULL,
    failing BIGINT,
    failures BIGINT NOT NULL,
    since BIGINT
);
CREATE INDEX samples_by_time ON samples (runbook, at);
