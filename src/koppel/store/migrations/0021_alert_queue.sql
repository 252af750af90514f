-- People are also told of queues, which belong to no mapping.
ALTER TABLE alert ADD COLUMN queue text NOT NULL DEFAULT '';
ALTER TABLE alert DROP CONSTRAINT alert_pkey, ADD PRIMARY KEY (mapping, queue, kind);
