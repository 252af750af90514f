-- What rules write beside their records goes into other tables than the mapping's: history and intents name them.
ALTER TABLE history ADD COLUMN table_name text NOT NULL DEFAULT '';
ALTER TABLE intent ADD COLUMN table_name text NOT NULL DEFAULT '';
