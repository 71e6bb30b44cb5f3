//! The plan as the adapters read it, and the executions that they write down.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::shapes::{self, Shape};

/// A plan and the work of each unit of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Dag {
    /// How long each unit waits.
    pub work_ms: u64,
    /// In an order in which what a unit needs stands before it.
    pub units: Vec<Unit>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Unit {
    pub key: String,
    pub needs: Vec<String>,
}

impl Dag {
    pub fn new(shape: &Shape, work: Duration) -> Self {
        let unit = |unit| Unit { key: shapes::key(unit), needs: shape.dependencies(&shapes::key(unit)).to_vec() };
        Self { work_ms: u64::try_from(work.as_millis()).unwrap(), units: (0..shape.units).map(unit).collect() }
    }

    /// The same as a plan of ours.
    pub fn shape(&self) -> Shape {
        let at: HashMap<&str, usize> = self.units.iter().enumerate().map(|(at, unit)| (unit.key.as_str(), at)).collect();
        let edges = |(unit, at): (&Unit, usize)| unit.needs.iter().map(|need| (at, need.clone())).collect::<Vec<_>>();
        let edges: Vec<_> = self.units.iter().zip(0..).flat_map(edges).map(|(unit, need)| (unit, at[need.as_str()])).collect();
        Shape::new(String::new(), self.units.len(), &edges)
    }

    /// What no engine can be faster than: the longest way, at a wait each.
    pub fn least(&self) -> Duration {
        let mut depth: HashMap<&str, u32> = HashMap::new();
        for unit in &self.units {
            let deepest = unit.needs.iter().map(|need| depth[need.as_str()]).max().unwrap_or(0);
            depth.insert(&unit.key, deepest + 1);
        }
        Duration::from_millis(self.work_ms) * depth.into_values().max().unwrap_or(0)
    }

    /// From the end of the last unit that one needs to its own start, of every unit that needs one.
    ///
    /// Each must have been executed exactly once.
    pub fn lags(&self, executions: &Path) -> Vec<Duration> {
        let text = std::fs::read_to_string(executions).unwrap();
        let mut times: HashMap<&str, (u64, u64)> = HashMap::new();
        for line in text.lines() {
            let [key, started, ended] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?} is not an execution") };
            let before = times.insert(key, (started.parse().unwrap(), ended.parse().unwrap()));
            assert!(before.is_none(), "{key} was executed twice");
        }
        assert_eq!(times.len(), self.units.len(), "every unit was executed");
        let lag = |unit: &Unit| {
            let last = unit.needs.iter().map(|need| times[need.as_str()].1).max()?;
            let started = times[unit.key.as_str()].0;
            assert!(started >= last, "{} was started before what it needs had ended", unit.key);
            Some(Duration::from_nanos(started - last))
        };
        self.units.iter().filter_map(lag).collect()
    }

    /// How many executions were not needed; every unit must have been executed.
    pub fn repeated(&self, executions: &Path) -> Result<usize, String> {
        let text = std::fs::read_to_string(executions).unwrap();
        let keys: HashSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        let missing = self.units.iter().filter(|unit| !keys.contains(unit.key.as_str())).count();
        if missing > 0 {
            return Err(format!("it says that it is done, and {missing} units were never executed"));
        }
        Ok(text.lines().count() - self.units.len())
    }
}

/// How many executions were written down.
pub fn executed(executions: &Path) -> usize {
    std::fs::read_to_string(executions).map_or(0, |text| text.matches('\n').count())
}
