// Constraints and indexes, and the node that numbers generations. Applied one statement at a time, each of them once or more often.
// Unique on exactly what MERGE looks for, else parallel writers make twins. Every key begins with the tenant and the generation, so that
// all plans of a tenant can be found through the same index.
CREATE CONSTRAINT projection_key IF NOT EXISTS FOR (n:Projection) REQUIRE n.name IS UNIQUE;
CREATE CONSTRAINT counter_key IF NOT EXISTS FOR (n:Counter) REQUIRE n.name IS UNIQUE;
CREATE CONSTRAINT plan_key IF NOT EXISTS FOR (n:Plan) REQUIRE (n.tenant, n.generation, n.plan) IS UNIQUE;
CREATE CONSTRAINT task_key IF NOT EXISTS FOR (n:Task) REQUIRE (n.tenant, n.generation, n.plan, n.key) IS UNIQUE;
CREATE CONSTRAINT wave_key IF NOT EXISTS FOR (n:Wave) REQUIRE (n.tenant, n.generation, n.plan, n.number) IS UNIQUE;
CREATE CONSTRAINT skill_key IF NOT EXISTS FOR (n:Skill) REQUIRE (n.tenant, n.generation, n.plan, n.name) IS UNIQUE;
CREATE CONSTRAINT agent_key IF NOT EXISTS FOR (n:Agent) REQUIRE (n.tenant, n.generation, n.plan, n.name) IS UNIQUE;
CREATE INDEX task_level IF NOT EXISTS FOR (n:Task) ON (n.tenant, n.plan, n.generation, n.level);
CREATE INDEX plan_generation IF NOT EXISTS FOR (n:Plan) ON (n.generation);
CALL db.awaitIndexes(20);
MERGE (counter:Counter {name: 'generation'}) ON CREATE SET counter.last = 0;
