//! One behaviour for every variant of [`Graph`].

use super::testing::{graph, key, node, server};
use super::*;
use crate::model::unit_state::UnitState;
use crate::model::{Role, RunId};

fn reached(found: Vec<Reached>) -> Vec<(String, usize)> {
    found.into_iter().map(|reached| (reached.key, reached.distance)).collect()
}

fn pairs(expect: &[(&str, usize)]) -> Vec<(String, usize)> {
    expect.iter().map(|(key, distance)| ((*key).to_owned(), *distance)).collect()
}

/// What every variant must do.
async fn exercise(store: &Graph) {
    // Boxed, for a test's thread has a small stack.
    Box::pin(layers_with_a_gate(store)).await;
    Box::pin(walks(store)).await;
    Box::pin(long_chains(store)).await;
    Box::pin(defects(store)).await;
    Box::pin(names(store)).await;
    Box::pin(contents(store)).await;
    Box::pin(replaced(store)).await;
    Box::pin(updates(store)).await;
    Box::pin(generations(store)).await;
}

/// A diamond, a chain beside it, and a gate that adds no wave.
async fn layers_with_a_gate(store: &Graph) {
    let plan = key();
    let keys = ["settings", "model/a", "model/b", "gate/models", "router/a", "router/b", "docs"];
    let waits = [
        ("model/a", "settings"),
        ("model/b", "model/a"),
        ("gate/models", "model/a"),
        ("gate/models", "model/b"),
        ("router/a", "gate/models"),
        ("router/b", "gate/models"),
    ];
    assert_eq!(store.load(plan, &graph(&keys, &waits)).await, Ok(Kept::Everywhere));
    let waves = store.waves(plan).await.unwrap();
    assert_eq!(waves, [vec!["settings", "docs"], vec!["model/a"], vec!["model/b"], vec!["router/a", "router/b"]]);
    assert_eq!(store.cycle(plan).await, Ok(None));
    assert_eq!(store.wave_siblings(plan, "docs").await.unwrap(), ["settings"]);
    assert_eq!(store.wave_siblings(plan, "model/a").await.unwrap(), [""; 0]);
    assert_eq!(store.wave_siblings(plan, "gate/models").await.unwrap(), [""; 0], "a gate is in no wave");
    assert_eq!(store.wave_siblings(plan, "x").await, Err(GraphError::UnknownNode("x".to_owned())));

    store.load(plan, &graph(&["only"], &[])).await.unwrap();
    assert_eq!(store.waves(plan).await.unwrap(), [vec!["only"]], "loading again replaces");
    store.load(plan, &PlanGraph::default()).await.unwrap();
    assert!(store.waves(plan).await.unwrap().is_empty());
}

async fn walks(store: &Graph) {
    let plan = key();
    let waits = [("b", "a"), ("c", "b"), ("c", "a"), ("d", "c"), ("e", "c")];
    store.load(plan, &graph(&["a", "b", "c", "d", "e"], &waits)).await.unwrap();
    let all = usize::MAX;
    assert_eq!(reached(store.closure(plan, "d", all).await.unwrap()), pairs(&[("c", 1), ("a", 2), ("b", 2)]), "the shortest way counts");
    assert_eq!(reached(store.closure(plan, "d", 1).await.unwrap()), pairs(&[("c", 1)]));
    assert_eq!(reached(store.closure(plan, "d", 0).await.unwrap()), pairs(&[]));
    assert_eq!(reached(store.impact(plan, "a", all).await.unwrap()), pairs(&[("b", 1), ("c", 1), ("d", 2), ("e", 2)]));
    assert_eq!(reached(store.impact(plan, "e", all).await.unwrap()), pairs(&[]));
    assert_eq!(store.dependencies(plan, "c").await.unwrap(), ["a", "b"]);
    assert_eq!(store.dependents(plan, "c").await.unwrap(), ["d", "e"]);
    assert_eq!(store.dependents(plan, "x").await, Err(GraphError::UnknownNode("x".to_owned())));
}

/// Longer than what one statement of a closure covers.
async fn long_chains(store: &Graph) {
    let plan = key();
    let keys: Vec<String> = (0..35).map(|at| format!("{at:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut waits: Vec<(&str, &str)> = keys.windows(2).map(|two| (two[1], two[0])).collect();
    waits.push((keys[34], keys[5]));
    store.load(plan, &graph(&keys, &waits)).await.unwrap();
    let mut expect: Vec<(&str, usize)> = vec![(keys[5], 1), (keys[33], 1)];
    expect.extend((0..5).map(|back| (keys[4 - back], 2 + back)));
    expect.extend((6..33).map(|at| (keys[at], 34 - at)));
    expect.sort_by_key(|(key, distance)| (*distance, *key));
    assert_eq!(reached(store.closure(plan, keys[34], usize::MAX).await.unwrap()), pairs(&expect));
    for levels in [9, 10, 11, 25] {
        let within: Vec<(&str, usize)> = expect.iter().copied().filter(|(_, distance)| *distance <= levels).collect();
        assert_eq!(reached(store.closure(plan, keys[34], levels).await.unwrap()), pairs(&within), "{levels} levels");
    }
    assert_eq!(store.impact(plan, keys[0], usize::MAX).await.unwrap().len(), 34);
    assert_eq!(store.waves(plan).await.unwrap().len(), 35);
}

async fn defects(store: &Graph) {
    let plan = key();
    let ring = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")];
    let error = store.load(plan, &graph(&["a", "b", "c", "d"], &ring)).await.unwrap_err();
    assert_eq!(error.to_string(), "dependencies form a cycle: a -> b -> c -> a");
    let error = store.load(plan, &graph(&["a"], &[("a", "x")])).await.unwrap_err();
    assert_eq!(error.to_string(), "a depends on x, but there is no x");
    assert_eq!(store.waves(plan).await, Err(GraphError::UnknownPlan(plan.plan)), "what is defective is not kept");
}

async fn names(store: &Graph) {
    let plan = key();
    store.load(plan, &graph(&["a"], &[])).await.unwrap();
    assert_eq!(store.closure(plan, "x", 1).await, Err(GraphError::UnknownNode("x".to_owned())));
    let foreign = PlanKey { tenant: OrganizationId::new(), ..plan };
    let unknown = GraphError::UnknownPlan(plan.plan);
    assert_eq!(store.waves(foreign).await.as_ref(), Err(&unknown), "another tenant does not see it");
    assert_eq!(store.contents(foreign).await.as_ref(), Err(&unknown));
    assert_eq!((store.plans(plan.tenant).await, store.plans(foreign.tenant).await), (Ok(vec![plan.plan]), Ok(Vec::new())));
    store.remove(plan).await.unwrap();
    store.remove(plan).await.unwrap();
    assert_eq!(store.waves(plan).await.as_ref(), Err(&unknown));
    assert_eq!(store.closure(plan, "a", 1).await.as_ref(), Err(&unknown));
    assert_eq!(store.dependencies(plan, "a").await.as_ref(), Err(&unknown));
    assert_eq!(store.wave_siblings(plan, "a").await.as_ref(), Err(&unknown));
    assert_eq!(store.counts(plan).await.as_ref(), Err(&unknown));
    assert_eq!(store.contents(plan).await.as_ref(), Err(&unknown));
    let update = update("a", RunId::new(), 1, UnitState::Running, None);
    assert_eq!(store.update_units(plan, &[update]).await.as_ref(), Err(&unknown));
    assert_eq!(store.plans(plan.tenant).await, Ok(Vec::new()));
}

/// A container with a unit and its step, a gate, skills.
fn hierarchy() -> PlanGraph {
    let mut plan = graph(&["a", "gate/all", "b"], &[("gate/all", "a"), ("b", "gate/all")]);
    plan.nodes.push(node("phase", Role::Container));
    plan.nodes.push(PlanNode { parent: Some("a".to_owned()), ..node("a/step", Role::Step) });
    for at in [0, 1, 2] {
        plan.nodes[at].parent = Some("phase".to_owned());
    }
    plan.nodes[0].skills = vec!["naming".to_owned(), "testing".to_owned()];
    plan.nodes[2].skills = vec!["naming".to_owned()];
    plan
}

async fn contents(store: &Graph) {
    let (plan, graph) = (key(), hierarchy());
    store.load(plan, &graph).await.unwrap();
    assert_eq!(store.counts(plan).await, Ok(Counts { nodes: 5, edges: 2 }));
    let expected = PlanContents::expected(&graph).unwrap();
    assert_eq!((expected.tasks.len(), expected.edges.len(), expected.parents.len(), expected.skills.len()), (5, 2, 4, 3));
    assert_eq!(expected.tasks["b"], TaskContents { role: "unit".to_owned(), weight: Some(1), wave: Some(2), unit: None });
    assert_eq!(store.contents(plan).await, Ok(expected));
    assert_eq!(store.closure(plan, "phase", 1).await, Err(GraphError::UnknownNode("phase".to_owned())), "it takes no part");
}

/// Loading something else leaves nothing of the former behind, but what units have lived through.
async fn replaced(store: &Graph) {
    let (plan, former) = (key(), hierarchy());
    store.load(plan, &former).await.unwrap();
    let (run, state) = (RunId::new(), UnitState::Succeeded);
    store.update_units(plan, &[update("a", run, 4, state, None), update("b", run, 2, state, None)]).await.unwrap();
    let mut later = graph(&["a", "c", "d"], &[("c", "a")]);
    later.nodes[1].skills = vec!["testing".to_owned()];
    store.load(plan, &later).await.unwrap();
    let mut expected = PlanContents::expected(&later).unwrap();
    expected.tasks.get_mut("a").unwrap().unit = Some((state, run, 4));
    assert_eq!(store.contents(plan).await.as_ref(), Ok(&expected));
    assert_eq!(store.wave_siblings(plan, "a").await.unwrap(), ["d"]);
    store.load(plan, &later).await.unwrap();
    assert_eq!(store.contents(plan).await, Ok(expected), "loading the same again changes nothing");
}

fn update(key: &str, run: RunId, version: u64, state: UnitState, agent: Option<&str>) -> UnitUpdate {
    UnitUpdate { key: key.to_owned(), run, version, state, attempts: 1, agent: agent.map(str::to_owned), duration_ms: Some(7) }
}

async fn updates(store: &Graph) {
    let plan = key();
    store.load(plan, &hierarchy()).await.unwrap();
    let (earlier, later) = (RunId::new(), RunId::new());
    assert!(earlier < later);
    let apply = async |updates: &[UnitUpdate]| store.update_units(plan, updates).await.unwrap();
    let stands = async |key: &str| store.contents(plan).await.unwrap().tasks[key].unit;
    let load = async || -> Vec<(String, usize, usize)> {
        let loads = store.agent_workload(plan.tenant).await.unwrap();
        loads.into_iter().map(|load| (load.agent, load.assigned, load.running)).collect()
    };
    let (running, done) = (UnitState::Running, UnitState::Succeeded);
    assert_eq!(apply(&[update("a", earlier, 2, running, Some("llm")), update("x", earlier, 2, running, None)]).await, 1);
    assert_eq!(load().await, [("llm".to_owned(), 1, 1)]);
    assert_eq!(apply(&[update("a", earlier, 2, done, None)]).await, 0, "the same version says nothing new");
    assert_eq!(apply(&[update("a", earlier, 1, done, None)]).await, 0, "nor does an older one");
    assert_eq!(stands("a").await, Some((running, earlier, 2)));
    assert_eq!(apply(&[update("a", earlier, 3, done, None), update("b", earlier, 1, running, Some("generator"))]).await, 2);
    assert_eq!(load().await, [("generator".to_owned(), 1, 1), ("llm".to_owned(), 1, 0)]);
    assert_eq!(apply(&[update("a", later, 1, UnitState::Pending, None)]).await, 1, "a later run wins whatever its version");
    assert_eq!(apply(&[update("a", earlier, 9, done, Some("llm"))]).await, 0);
    assert_eq!(stands("a").await, Some((UnitState::Pending, later, 1)));
    assert_eq!(load().await, [("generator".to_owned(), 1, 1)], "with a new run the former agent is forgotten");
    assert_eq!(apply(&[update("b", earlier, 2, running, Some("llm"))]).await, 1);
    assert_eq!(load().await, [("llm".to_owned(), 1, 1)], "a unit has one agent");
    assert_eq!(store.agent_workload(OrganizationId::new()).await, Ok(Vec::new()));
}

/// A generation is filled unseen, then seen at once.
async fn generations(store: &Graph) {
    let (plan, beside) = (key(), key());
    store.load(plan, &graph(&["a"], &[])).await.unwrap();
    store.load(beside, &graph(&["a"], &[])).await.unwrap();
    let (unused, next) = (store.begin_generation().await.unwrap(), store.begin_generation().await.unwrap());
    let former = store.active_generation().await.unwrap();
    assert!(unused != next && unused != former && next != former, "{unused} {next} {former}");
    store.load_into(next, plan, &graph(&["b", "c"], &[])).await.unwrap();
    assert_eq!(store.waves(plan).await.unwrap(), [vec!["a"]], "it is not seen yet");
    store.drop_generation(unused).await.unwrap();
    store.switch(next).await.unwrap();
    assert_eq!((store.waves(plan).await.unwrap(), store.active_generation().await), (vec![vec!["b".to_owned(), "c".to_owned()]], Ok(next)));
    assert_eq!(store.waves(beside).await, Err(GraphError::UnknownPlan(beside.plan)), "what was not loaded into it is gone");
    store.switch(former).await.unwrap();
    assert_eq!(store.waves(plan).await.unwrap(), [vec!["a"]], "and what was in the former one is still there");
    store.switch(next).await.unwrap();
    store.drop_generation(former).await.unwrap();
    store.switch(former).await.unwrap();
    assert_eq!(store.waves(plan).await, Err(GraphError::UnknownPlan(plan.plan)), "until it is dropped");
    store.switch(next).await.unwrap();
    assert!(!store.generations_beside().await.unwrap().contains(&next), "the one in use is not beside itself");
    let left = store.begin_generation().await.unwrap();
    assert!(store.generations_beside().await.unwrap().contains(&left));
    store.drop_generation(left).await.unwrap();
    assert!(!store.generations_beside().await.unwrap().contains(&left));
}

#[tokio::test]
async fn embedded_conforms() {
    exercise(&Graph::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neo4j_conforms() {
    let Some((store, server)) = server().await else { return };
    exercise(&store).await;
    let info = store.info().await.unwrap().unwrap();
    assert!(info.version.starts_with("5."), "{info:?}");
    let late = |outage: &crate::store::breaker::Outage| outage.reason.contains("gave no answer within");
    let failed: Vec<_> = server.breaker.outages().into_iter().filter(|outage| !late(outage)).collect();
    assert_eq!(failed, [], "no call failed on the way, though on a busy machine one may have been late");
}
