//! One behaviour for every variant of [`Graph`].

use super::*;

fn nodes(keys: &[&str]) -> Vec<Node> {
    let weight = |key: &str| u32::from(!key.starts_with("gate"));
    keys.iter().map(|key| Node { key: (*key).to_owned(), weight: weight(key), effort: 1 }).collect()
}

fn edges(pairs: &[(&str, &str)]) -> Vec<Edge> {
    pairs.iter().map(|(task, depends_on)| Edge { task: (*task).to_owned(), depends_on: (*depends_on).to_owned() }).collect()
}

fn key() -> PlanKey {
    PlanKey { tenant: OrganizationId::new(), plan: PlanId::new() }
}

fn reached(found: Vec<Reached>) -> Vec<(String, usize)> {
    found.into_iter().map(|reached| (reached.key, reached.distance)).collect()
}

fn pairs(expect: &[(&str, usize)]) -> Vec<(String, usize)> {
    expect.iter().map(|(key, distance)| ((*key).to_owned(), *distance)).collect()
}

/// What every variant must do.
async fn exercise(graph: &Graph) {
    layers_with_a_gate(graph).await;
    walks(graph).await;
    defects(graph).await;
    names(graph).await;
}

/// A diamond, a chain beside it, and a gate that adds no wave.
async fn layers_with_a_gate(graph: &Graph) {
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
    graph.load(plan, nodes(&keys), &edges(&waits)).await.unwrap();
    let waves = graph.waves(plan).await.unwrap();
    assert_eq!(waves, [vec!["settings", "docs"], vec!["model/a"], vec!["model/b"], vec!["router/a", "router/b"]]);

    graph.load(plan, nodes(&["only"]), &[]).await.unwrap();
    assert_eq!(graph.waves(plan).await.unwrap(), [vec!["only"]], "loading again replaces");
    graph.load(plan, Vec::new(), &[]).await.unwrap();
    assert!(graph.waves(plan).await.unwrap().is_empty());
}

async fn walks(graph: &Graph) {
    let plan = key();
    let waits = [("b", "a"), ("c", "b"), ("c", "a"), ("d", "c"), ("e", "c")];
    graph.load(plan, nodes(&["a", "b", "c", "d", "e"]), &edges(&waits)).await.unwrap();
    let all = usize::MAX;
    assert_eq!(reached(graph.closure(plan, "d", all).await.unwrap()), pairs(&[("c", 1), ("a", 2), ("b", 2)]), "the shortest way counts");
    assert_eq!(reached(graph.closure(plan, "d", 1).await.unwrap()), pairs(&[("c", 1)]));
    assert_eq!(reached(graph.impact(plan, "a", all).await.unwrap()), pairs(&[("b", 1), ("c", 1), ("d", 2), ("e", 2)]));
    assert_eq!(reached(graph.impact(plan, "e", all).await.unwrap()), pairs(&[]));
    assert_eq!(graph.dependencies(plan, "c").await.unwrap(), ["a", "b"]);
    assert_eq!(graph.dependents(plan, "c").await.unwrap(), ["d", "e"]);
}

async fn defects(graph: &Graph) {
    let plan = key();
    let ring = edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]);
    let error = graph.load(plan, nodes(&["a", "b", "c", "d"]), &ring).await.unwrap_err();
    assert_eq!(error.to_string(), "dependencies form a cycle: a -> b -> c -> a");
    let error = graph.load(plan, nodes(&["a"]), &edges(&[("a", "x")])).await.unwrap_err();
    assert_eq!(error.to_string(), "a depends on x, but there is no x");
    assert_eq!(graph.waves(plan).await, Err(GraphError::UnknownPlan(plan.plan)), "what is defective is not kept");
}

async fn names(graph: &Graph) {
    let plan = key();
    graph.load(plan, nodes(&["a"]), &[]).await.unwrap();
    assert_eq!(graph.closure(plan, "x", 1).await, Err(GraphError::UnknownNode("x".to_owned())));
    let foreign = PlanKey { tenant: OrganizationId::new(), ..plan };
    assert_eq!(graph.waves(foreign).await, Err(GraphError::UnknownPlan(plan.plan)), "another tenant does not see it");
    graph.remove(plan).await.unwrap();
    graph.remove(plan).await.unwrap();
    assert_eq!(graph.waves(plan).await, Err(GraphError::UnknownPlan(plan.plan)));
}

#[tokio::test]
async fn embedded_conforms() {
    exercise(&Graph::embedded()).await;
}
