//! What the node refuses because it has too much to do.

use weir_config_admin::{Reason, Verdict};

use crate::{
    load::{Grade, Input},
    node::Node,
};

pub(super) fn reasons(node: &Node) -> Vec<Reason> {
    let load = &node.load;
    let grade = load.grade();
    if grade == Grade::Calm {
        return Vec::new();
    }
    let pressure = load.pressure();
    let (scarce, strain) = pressure.strain();
    let (is, next) = match scarce {
        Input::Lag => (
            format!("workers are {} ms late", pressure.lag.as_millis()),
            "`cachectl top` shows who asks for what; more nodes or cores, if it lasts",
        ),
        Input::Memory => (
            format!("{:.0} % of overload.memory is resident", pressure.memory * 100.0),
            "look at the connections in `cachectl status`; set overload.memory to what the host \
             has, or cache.memory to less",
        ),
        Input::Requests => (
            format!("{:.0} % of overload.requests are under way", pressure.requests * 100.0),
            "`cachectl top` shows who asks for what",
        ),
        Input::Fills => (
            format!("{:.1} fills wait for each place", pressure.waiting),
            "`cachectl status` shows the upstreams; raise fill.concurrency where they could do more",
        ),
    };
    let what = format!("overload {:.0} %: {is}; {}", strain * 100.0, grade.refuses());
    vec![Reason { verdict: Verdict::Degraded, what, next: Some(next.to_owned()) }]
}
