-- Since when nothing of the app works, until it is enabled again.
ALTER TABLE apps ADD COLUMN disabled_at {{int}};
