-- The record of Dataverse that a coupled one is a part of: it stays coupled as long as that one does.
ALTER TABLE coupling ADD COLUMN whole uuid;
CREATE INDEX coupling_whole ON coupling (mapping, whole) WHERE whole IS NOT NULL;
