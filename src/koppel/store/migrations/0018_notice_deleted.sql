-- Business Central tells of a deletion in a notification and nowhere else: a run that reads what changed cannot see it.
ALTER TABLE notice ADD COLUMN deleted boolean NOT NULL DEFAULT false;
