-- What examples/nba.yaml reads, made over a table of games. Run it once, as the owner of the database:
--
--   psql -d nba_simulator -f include/deployments/examples/nba.sql
--
-- It expects games (game_id, game_date, season, home_score, away_score), and only reads it. Then let the role of the
-- connection production_db read this schema, and nothing else:
--
--   GRANT USAGE ON SCHEMA forecast TO shadow_reader; GRANT SELECT ON ALL TABLES IN SCHEMA forecast TO shadow_reader;
BEGIN;

CREATE SCHEMA forecast;

-- The prediction log: each morning one row for every game of the coming week, with what both models say. Rows are only
-- added: a probability stays as it was when it was made.
CREATE TABLE forecast.win_probability (
    prediction_id text PRIMARY KEY,
    game_id text NOT NULL,
    predicted_at timestamptz NOT NULL,
    elo double precision,                 -- of the model that serves: the chance that the home team wins
    raptor double precision,              -- of the challenger
    model_version text NOT NULL
);
CREATE INDEX ON forecast.win_probability (predicted_at);

-- Requests: what was predicted, with what is known of the game beforehand.
CREATE VIEW forecast.request AS
SELECT
    p.prediction_id, p.game_id, p.predicted_at, p.elo, p.raptor, p.model_version, g.season,
    g.game_date - (p.predicted_at AT TIME ZONE 'America/New_York')::date AS days_ahead
FROM forecast.win_probability AS p
JOIN games AS g USING (game_id);

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
