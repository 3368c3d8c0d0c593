//! A TCP proxy whose connections a test can cut or freeze.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Forwards connections to one target.
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    live: Arc<Mutex<Vec<(TcpStream, TcpStream)>>>,
    gate: Arc<Gate>,
    /// Connections made so far.
    pub accepted: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts one. The target is looked for anew at each connection; where it is absent, the newcomer is closed.
    pub fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let live: Arc<Mutex<Vec<(TcpStream, TcpStream)>>> = Arc::default();
        let accepted = Arc::new(AtomicU64::new(0));
        let gate = Arc::<Gate>::default();
        let (pairs, count, way) = (Arc::clone(&live), Arc::clone(&accepted), Arc::clone(&gate));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                if let Ok(far) = TcpStream::connect(&target) {
                    let mut pairs = pairs.lock().unwrap();
                    pairs.retain(|(near, _)| near.peer_addr().is_ok());
                    pairs.push((near.try_clone().unwrap(), far.try_clone().unwrap()));
                    forward(near.try_clone().unwrap(), far.try_clone().unwrap(), Arc::clone(&way));
                    forward(far, near, Arc::clone(&way));
                }
            }
        });
        Self { address, live, gate, accepted }
    }

    /// Cuts every connection; new ones are taken as before.
    pub fn cut(&self) {
        for (near, far) in self.live.lock().unwrap().drain(..) {
            let _gone_already = near.shutdown(Shutdown::Both);
            let _gone_already = far.shutdown(Shutdown::Both);
        }
    }

    /// Lets nothing through while frozen, and tells nobody: as a network that has lost its way.
    pub fn freeze(&self, frozen: bool) {
        *self.gate.frozen.lock().unwrap() = frozen;
        self.gate.changed.notify_all();
    }
}

/// What is forwarded waits here while the proxy is frozen.
#[derive(Default)]
struct Gate {
    frozen: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let frozen = self.frozen.lock().unwrap();
        drop(self.changed.wait_while(frozen, |frozen| *frozen).unwrap());
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, gate: Arc<Gate>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            gate.pass();
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _gone_already = to.shutdown(Shutdown::Both);
        let _gone_already = from.shutdown(Shutdown::Both);
    });
}
