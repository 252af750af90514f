-- What a job was to do, towards which side, and who took part in it. Of older jobs it is not known.
ALTER TABLE job RENAME COLUMN kind TO type;
UPDATE job SET type = 'modified' WHERE type = 'sync';
ALTER TABLE job
    ADD COLUMN direction text   NOT NULL DEFAULT 'both',
    ADD COLUMN workers   text[] NOT NULL DEFAULT '{}';
UPDATE job SET workers = ARRAY[host || ' ' || process];
