//! What the tests of graphs share: the server to test on, plans of random shape.

use super::embedded::Embedded;
use super::server::Server;
use super::*;
use crate::dag::Edge;
use crate::model::Role;
use crate::store::testing as services;

/// Never open: a test looks at each failure itself.
const THRESHOLDS: Thresholds = Thresholds { failures: u32::MAX, open: Duration::ZERO };

/// Where the tests' Neo4j is.
pub(crate) fn settings() -> Option<GraphServer> {
    let uri = services::server("SPECWAVE_TEST_NEO4J_URI")?;
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} belongs to SPECWAVE_TEST_NEO4J_URI"));
    let password = variable("SPECWAVE_TEST_NEO4J_PASSWORD").into();
    Some(GraphServer { uri, user: variable("SPECWAVE_TEST_NEO4J_USER"), password })
}

/// The tests' Neo4j without a stand-by: whatever is answered, the server answered.
pub(super) async fn server() -> Option<(Graph, Server)> {
    // Each test is an installation of its own, so that one may switch generations while another asks.
    let installation = format!("test-{}", PlanId::new());
    let server = Server::open(&settings()?, &installation, THRESHOLDS, Embedded::with_room_for(0)).unwrap();
    server.migrate().await.unwrap();
    Some((Graph::Server(server.clone()), server))
}

/// A plan of a tenant of its own.
pub(super) fn key() -> PlanKey {
    PlanKey { tenant: OrganizationId::new(), plan: PlanId::new() }
}

/// Units, and gates where the key begins with `gate`.
pub(super) fn graph(keys: &[&str], pairs: &[(&str, &str)]) -> PlanGraph {
    let role = |key: &str| if key.starts_with("gate") { Role::Gate } else { Role::Unit };
    let edge = |(task, depends_on): &(&str, &str)| Edge { task: (*task).to_owned(), depends_on: (*depends_on).to_owned() };
    PlanGraph { nodes: keys.iter().map(|key| node(key, role(key))).collect(), edges: pairs.iter().map(edge).collect() }
}

/// A node without parent and skills.
pub(super) fn node(key: &str, role: Role) -> PlanNode {
    PlanNode {
        key: key.to_owned(),
        role,
        effort: 1,
        title: format!("Title of {key}"),
        task_type: "generic".to_owned(),
        parent: None,
        skills: Vec::new(),
    }
}
