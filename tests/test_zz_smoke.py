import time
from include.shadow.run import run_days
from include.shadow import day as steps
from tests.production import *
from tests.conftest import *
from include.shadow.source import postgres as src
from rich.console import Console
import pytest, traceback
FN="CREATE FUNCTION flights.nap(float8) RETURNS float8 STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN $1; END $$"
def attempt(f):
    t=time.time()
    try: print('OK',f())
    except Exception as e: print(type(e).__mro__[:3], e)
    print('  took',time.time()-t)
def test_sample_timeout(worlds, monkeypatch):
    monkeypatch.setitem(src.SETTINGS,'statement_timeout','200ms')
    w=worlds()
    w.change_production(FN)
    w.change_production("CREATE VIEW flights.slow AS SELECT request_id,predicted_at,flights.nap(dep_hour) AS dep_hour,distance,origin,carrier,champion_probability,other_probability,model_version,latency_ms FROM flights.prediction_log")
    attempt(lambda: steps.sample(w.shadow(requests={'table':'flights.slow'}), day(0)))
    w.change_production("CREATE VIEW flights.slower AS SELECT l.* FROM flights.prediction_log l, pg_sleep(20)")
    attempt(lambda: steps.sample(w.shadow(requests={'table':'flights.slower'}), day(0)))
    w.change_production("CREATE VIEW flights.zero AS SELECT request_id,predicted_at,1/(dep_hour-dep_hour) AS dep_hour,distance,origin,carrier,champion_probability,other_probability,model_version,latency_ms FROM flights.prediction_log")
    attempt(lambda: steps.sample(w.shadow(requests={'table':'flights.zero'}), day(0)))
def test_labels(worlds,monkeypatch):
    w=worlds()
    w.change_production("CREATE VIEW flights.slow AS SELECT l.* FROM flights.outcome l, pg_sleep(20)")
    s=w.shadow(labels={'table':'flights.slow'})
    steps.sample(s,day(0))
    monkeypatch.setitem(src.SETTINGS,'statement_timeout','200ms')
    attempt(lambda: steps.collect_labels(s, day(0)))
def test_logged_missing(worlds):
    w=worlds()
    s=w.shadow(challengers=[{'name':'x','model':'logged:flights.prediction_log.nope'}])
    attempt(lambda: run_days(s,[day(0)],Console(stderr=True)))
    print(w.query("select error,count(*) from shadow.prediction group by 1"))
    for v in w.verdicts(): print(v[:6])
def test_dead_server_midway(worlds):
    w=worlds()
    s=w.shadow()
    w.change_production("CREATE FUNCTION flights.die() RETURNS float8 STABLE LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN 1; END $$")
    w.change_production("CREATE VIEW flights.dead AS SELECT request_id,predicted_at,flights.die() AS dep_hour,distance,origin,carrier,champion_probability,other_probability,model_version,latency_ms FROM flights.prediction_log")
    attempt(lambda: steps.sample(w.shadow(requests={'table':'flights.dead'}), day(0)))
def test_fresh_evidence(worlds, monkeypatch, invoke):
    w=declare(worlds(),monkeypatch); w.deploy()
    a=w.dump(); print(invoke('evidence','late','--json')); print(w.dump()==a, w.dump()['model_version'])
def test_feature_added(worlds):
    w=worlds()
    steps_=w.shadow(); run_days(steps_,[day(0)],Console(stderr=True))
    attempt(lambda: run_days(w.shadow(requests={'features':['dep_hour','distance','latency_ms']}),[day(0)],Console(stderr=True)))
def test_migrate_norights(postgres,worlds, monkeypatch, invoke):
    d=database(postgres,OWNER)
    monkeypatch.setenv('AIRFLOW_CONN_SHADOW_DB',postgres.uri(d,READER))
    attempt(lambda: invoke('migrate','--conn-id','shadow_db'))
def test_regr_nan(worlds):
    w=worlds()
    w.change_production("ALTER TABLE flights.outcome ALTER is_late TYPE float8; UPDATE flights.outcome SET is_late='NaN' WHERE request_id='f0003'")
    attempt(lambda: run_days(w.shadow(task='regression',policy={'rules':[{'metric':'squared_error','is':'superior'}]}),[day(0)],Console(stderr=True)))
def test_champion_order(worlds):
    w=worlds()
    w.change_production("UPDATE flights.prediction_log SET model_version=CASE WHEN predicted_at<'2024-03-03 12:00+00' THEN '9' ELSE '10' END; DELETE FROM flights.prediction_log WHERE predicted_at>'2024-03-04'")
    pol={'burn_in':2,'rules':[{'metric':'error_rate','is':'at_most','value':.5}]}
    run_days(w.shadow(policy=pol),[day(i) for i in range(4)],Console(stderr=True))
    for v in w.verdicts(): print(v[:6])
