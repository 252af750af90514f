-- A partner that is about to pass to another record: what it becomes then must not be done twice.
ALTER TABLE intent DROP CONSTRAINT intent_kind_check;
ALTER TABLE intent ADD CONSTRAINT intent_kind_check CHECK (kind IN ('create', 'update', 'delete', 'succeed'));
