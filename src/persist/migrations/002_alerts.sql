-- Alert groups that fire, in short: what decisions about other cases may see. A row that is silent is gone.
CREATE TABLE ringing (case_id TEXT PRIMARY KEY, summary TEXT NOT NULL);
