-- The day is mature: its evidence becomes final.
DELETE FROM shadow.provisional_evidence
WHERE (challenger_id, snapshot_id, champion_version) = (:'challenger_id', :'snapshot_id', :'champion_version')
