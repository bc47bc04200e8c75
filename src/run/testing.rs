//! A run without a mesh, for tests: an API server in memory, and either no pods at all or a
//! [`World`] of callers and servers.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    context::{CleanupPolicy, IsolationMode, RunContext, SessionOptions},
    in_memory::world::World,
    session::{Kept, Session},
    target_lost::TargetLost,
};
use crate::{
    cluster::fake::Fake,
    event::{Event, EventKind, recorder::Recorder, run_id::RunId},
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{
        control_plane::{ControlPlane, ControlPlanes, ISTIOD_DEBUG_PORT},
        discovery::IstioEndpoints,
        injection::DEFAULT_REVISION,
    },
    scenario::{LoadedScenario, Suites, load_all},
    targets::TargetAccess,
    transport::{PodDialer, http::PodPort},
    verdict::Rates,
};

/// The context of a test run, and its events.
pub(crate) struct Stage {
    pub ctx: Arc<RunContext>,
    pub lost: TargetLost,
    events: UnboundedReceiver<Event>,
}

impl Stage {
    /// Creates a stage on which no port of a pod can be reached.
    pub fn new() -> Self {
        let dial = PodDialer::node("/nowhere/node.sock".into());
        Self::with(&Fake::default(), dial, CleanupPolicy::WithTheWorld, false).0
    }

    /// Creates a stage with the pods of a world and its server for control calls.
    pub fn on(world: &World, cleanup: CleanupPolicy, keep_failed: bool) -> Self {
        let (mut stage, session) = Self::with(&world.fake, world.dial(), cleanup, keep_failed);
        drop(session);
        let ctx = Arc::get_mut(&mut stage.ctx).expect("there are no other owners yet");
        ctx.mesh.control = world.control();
        stage
    }

    fn with(
        fake: &Fake,
        dial: PodDialer,
        cleanup: CleanupPolicy,
        keep_failed: bool,
    ) -> (Self, Session) {
        let (recorder, events) = Recorder::new();
        let lost = TargetLost::default();
        let ready = TargetAccess {
            client: fake.client(),
            dial: dial.clone(),
            istioctl: None,
            versions: BTreeMap::new(),
            programs: std::collections::BTreeSet::new(),
            own_mesh: true,
            secrets: Vec::new(),
            state: None,
            overrides: WorkloadOverrides::default(),
        };
        let found = IstioEndpoints {
            control_planes: ControlPlanes::new(vec![ControlPlane {
                revision: DEFAULT_REVISION.to_owned(),
                debug: PodPort {
                    dial,
                    namespace: "istio-system".into(),
                    pod: "istiod".into(),
                    port: ISTIOD_DEBUG_PORT,
                },
            }])
            .expect("one"),
            gateways: Vec::new(),
        };
        let options = SessionOptions {
            run_id: RunId::random(),
            jobs: 1,
            rates: Rates::default(),
            isolation: IsolationMode::Private,
            cleanup,
            keep_failed,
            mutation: None,
            leaves_pool: false,
        };
        let kept = Kept {
            lost: lost.clone(),
            ..Kept::default()
        };
        let session = Session::new(&ready, found, recorder, kept, options).expect("threads");
        let stage = Self {
            ctx: Arc::clone(&session.ctx),
            lost,
            events,
        };
        (stage, session)
    }

    /// Returns the events since the last call.
    pub fn reported(&mut self) -> Vec<EventKind> {
        let all = std::iter::from_fn(|| self.events.try_recv().ok());
        all.map(|event| event.kind).collect()
    }
}

/// Returns a scenario that needs no mesh: its workload file is missing, so that it ends at once
/// with an error. `more` contains further keys.
pub(crate) fn hopeless(more: &str) -> String {
    format!(
        "title: A claim\nwhy: A reason.\nsource: [a document]\nproves: [B1]\n{more}workloads: [{{name: caller, template: nowhere}}]\nprobes:\n  \
         one: {{call: mypackage.Greeter/SayHello, from: caller, to: \"greeter:50051\", expect: {{status: OK}}}}\nsteps:\n- probe: one\n"
    )
}

/// Writes scenarios, given by name, as files of the suite `area`, and loads them.
pub(crate) fn scenarios(root: &Path, files: &[(&str, String)]) -> Vec<LoadedScenario> {
    let folder = root.join("suites/area");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(format!("{name}.yaml")), text).expect("a file");
    }
    let set = load_all(&Suites::open(root), &[]).expect("scenarios");
    assert!(set.findings.is_empty(), "{:?}", set.findings);
    set.scenarios
}
