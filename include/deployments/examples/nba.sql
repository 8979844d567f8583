-- The results that examples/nba.yaml reads, made over a table of games. Run it once, as the owner of the database:
--
--   psql -d nba_simulator -f include/deployments/examples/nba.sql
--
-- It expects games (game_id, game_date, season, home_score, away_score), and only reads it. Then let the role of the
-- connection production_db read this schema, and nothing else:
--
--   GRANT USAGE ON SCHEMA forecast TO shadow_reader; GRANT SELECT ON forecast.result TO shadow_reader;
BEGIN;

CREATE SCHEMA forecast;

-- Labels: who won. The evening's last game has ended by six in the morning in New York; a game that was put off has no
-- score, and no row.
CREATE VIEW forecast.result AS
SELECT
    game_id,
    home_score > away_score AS home_win,
    (game_date + time '06:00' + interval '1 day') AT TIME ZONE 'America/New_York' AS known_at
FROM games
WHERE home_score IS NOT NULL AND away_score IS NOT NULL;

COMMIT;
