//! Every statement that the graph server is sent, by name. The texts are in `cypher/`, each with its parameters and columns.

/// A statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Statement {
    /// Its file.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

const fn statement(name: &'static str, text: &'static str) -> Statement {
    Statement { name, text }
}

/// Several statements, each to be sent on its own.
pub(super) const SCHEMA: &str = include_str!("../../../cypher/schema.cypher");

pub(super) const PING: Statement = statement("ping.cypher", include_str!("../../../cypher/ping.cypher"));
pub(super) const PREPARED: Statement = statement("prepared.cypher", include_str!("../../../cypher/prepared.cypher"));
pub(super) const PREPARE: Statement = statement("prepare.cypher", include_str!("../../../cypher/prepare.cypher"));
pub(super) const VERSION: Statement = statement("version.cypher", include_str!("../../../cypher/version.cypher"));
pub(super) const ACTIVE_GENERATION: Statement =
    statement("active_generation.cypher", include_str!("../../../cypher/active_generation.cypher"));
pub(super) const BEGIN_GENERATION: Statement =
    statement("begin_generation.cypher", include_str!("../../../cypher/begin_generation.cypher"));
pub(super) const SWITCH_GENERATION: Statement =
    statement("switch_generation.cypher", include_str!("../../../cypher/switch_generation.cypher"));
pub(super) const BESIDE: Statement = statement("beside.cypher", include_str!("../../../cypher/beside.cypher"));
pub(super) const FORGET_GENERATION: Statement =
    statement("forget_generation.cypher", include_str!("../../../cypher/forget_generation.cypher"));
pub(super) const PLANS_OF_GENERATION: Statement =
    statement("plans_of_generation.cypher", include_str!("../../../cypher/plans_of_generation.cypher"));
pub(super) const LOAD_BEGIN: Statement = statement("load_begin.cypher", include_str!("../../../cypher/load_begin.cypher"));
pub(super) const LOAD_TASKS: Statement = statement("load_tasks.cypher", include_str!("../../../cypher/load_tasks.cypher"));
pub(super) const LOAD_EDGES: Statement = statement("load_edges.cypher", include_str!("../../../cypher/load_edges.cypher"));
pub(super) const LOAD_PARENTS: Statement = statement("load_parents.cypher", include_str!("../../../cypher/load_parents.cypher"));
pub(super) const LOAD_SKILLS: Statement = statement("load_skills.cypher", include_str!("../../../cypher/load_skills.cypher"));
pub(super) const LOAD_WAVES: Statement = statement("load_waves.cypher", include_str!("../../../cypher/load_waves.cypher"));
pub(super) const LOAD_PRUNE_EDGES: Statement =
    statement("load_prune_edges.cypher", include_str!("../../../cypher/load_prune_edges.cypher"));
pub(super) const LOAD_PRUNE_NODES: Statement =
    statement("load_prune_nodes.cypher", include_str!("../../../cypher/load_prune_nodes.cypher"));
pub(super) const LOAD_END: Statement = statement("load_end.cypher", include_str!("../../../cypher/load_end.cypher"));
pub(super) const REMOVE_BEGIN: Statement = statement("remove_begin.cypher", include_str!("../../../cypher/remove_begin.cypher"));
pub(super) const REMOVE_NODES: Statement = statement("remove_nodes.cypher", include_str!("../../../cypher/remove_nodes.cypher"));
pub(super) const REMOVE_END: Statement = statement("remove_end.cypher", include_str!("../../../cypher/remove_end.cypher"));
pub(super) const WAVES: Statement = statement("waves.cypher", include_str!("../../../cypher/waves.cypher"));
pub(super) const UNPEELED: Statement = statement("unpeeled.cypher", include_str!("../../../cypher/unpeeled.cypher"));
pub(super) const CLOSURE: Statement = statement("closure.cypher", include_str!("../../../cypher/closure.cypher"));
pub(super) const IMPACT: Statement = statement("impact.cypher", include_str!("../../../cypher/impact.cypher"));
pub(super) const DEPENDENCIES: Statement = statement("dependencies.cypher", include_str!("../../../cypher/dependencies.cypher"));
pub(super) const DEPENDENTS: Statement = statement("dependents.cypher", include_str!("../../../cypher/dependents.cypher"));
pub(super) const WAVE_SIBLINGS: Statement = statement("wave_siblings.cypher", include_str!("../../../cypher/wave_siblings.cypher"));
pub(super) const UPDATE_UNITS: Statement = statement("update_units.cypher", include_str!("../../../cypher/update_units.cypher"));
pub(super) const AGENT_WORKLOAD: Statement = statement("agent_workload.cypher", include_str!("../../../cypher/agent_workload.cypher"));
pub(super) const PLANS: Statement = statement("plans.cypher", include_str!("../../../cypher/plans.cypher"));
pub(super) const COUNTS: Statement = statement("counts.cypher", include_str!("../../../cypher/counts.cypher"));
pub(super) const CONTENTS: Statement = statement("contents.cypher", include_str!("../../../cypher/contents.cypher"));
