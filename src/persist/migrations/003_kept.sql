-- What was asked for again and again so that it is known when its source is gone, as JSON rows. Trimmed by age;
-- the newest of a parameter stays.
CREATE TABLE kept (id TEXT PRIMARY KEY, runbook TEXT NOT NULL, param TEXT NOT NULL, at BIGINT NOT NULL, content TEXT NOT NULL);
CREATE INDEX kept_by_time ON kept (runbook, param, at);
