//! Unix stream sockets that this process serves: for root, or for a group too, bound without a moment in which others
//! could connect, with stale files of dead processes replaced, a bounded number of connections, and a word when the file is removed.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Gid, chown};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Who may connect to a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Root, and the user that this process runs as.
    Root,
    /// These, and the members of a group.
    Group(Gid),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// Root, or the user that this process runs as.
    Root,
    /// A member of the group that the socket is for.
    Member,
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers on it.
    #[error("{0} is in use by another process; stop that one first")]
    InUse(PathBuf),
    /// There is a file of another kind.
    #[error("{0} exists and is no socket; expected none, or a stale socket")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("{path}: {source}{}", remedy(source))]
    System {
        /// What was touched.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// What would help against what the system said, if that is known.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run this as root",
        _ => "",
    }
}

impl BindError {
    fn system(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System { path, source }
    }
}

/// A listening socket and the file by which it is found. Dropping it removes the file, if it is still this socket's.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    file: Option<SocketFile>,
    audience: Audience,
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

/// Device and inode: another file of the same name has others.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

impl Bound {
    /// Listens at `path`, mode 0600, or 0660 for a group; its directory is made with mode 0700 if it is not there, and
    /// opened to all where a group must get through it. A socket whose process is gone is replaced.
    pub fn bind(path: &Path, audience: Audience) -> Result<Self, BindError> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(BindError::system(directory))?;
        if let Audience::Group(_) = audience {
            open_directory(directory).map_err(BindError::system(directory))?;
        }
        // Held while stale files are replaced, so that two processes starting at once do not remove each other's.
        let _lock = File::open(directory)
            .and_then(|d| Flock::lock(d, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into()))
            .map_err(BindError::system(directory))?;
        remove_stale(path)?;
        // Bound inside a directory that no one else can enter, then linked to its place with its mode already right.
        let hidden = directory.join(format!(".{}", std::process::id()));
        let listener = bind_hidden(&hidden, path, audience).map_err(BindError::system(path))?;
        let file = SocketFile::at(path).map_err(BindError::system(path))?;
        Ok(Self {
            listener,
            file: Some(file),
            audience,
        })
    }

    /// A socket that was bound by whoever started this process.
    pub fn inherited(listener: UnixListener) -> Self {
        let address = listener.local_addr().ok();
        let path = address.as_ref().and_then(|a| a.as_pathname());
        let file = path.and_then(|p| SocketFile::at(p).ok());
        Self {
            listener,
            file,
            audience: Audience::Root,
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|f| f.is_there()) {
            // Whoever removes it at the same moment has done the work.
            let _ = fs::remove_file(&file.path);
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::system(path)(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::debug!(
                "{}: replacing the socket of a process that is gone",
                path.display()
            );
            fs::remove_file(path).map_err(BindError::system(path))
        }
        // An overfull queue is a sign of life, too.
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindError::InUse(path.to_owned())),
        Err(error) => Err(BindError::system(path)(error)),
    }
}

/// Lets others pass through a directory of ours. The names of interfaces are no secret, and each socket in it guards
/// itself.
fn open_directory(directory: &Path) -> io::Result<()> {
    const SEARCH: u32 = 0o055;
    let found = fs::metadata(directory)?;
    let mode = found.permissions().mode() & 0o7777;
    if found.uid() == nix::unistd::geteuid().as_raw() && mode & SEARCH != SEARCH {
        fs::set_permissions(directory, Permissions::from_mode(mode | SEARCH))?;
    }
    Ok(())
}

fn bind_hidden(hidden: &Path, path: &Path, audience: Audience) -> io::Result<UnixListener> {
    // Left over from a process with the same number that died in between.
    let _ = fs::remove_dir_all(hidden);
    DirBuilder::new().mode(0o700).create(hidden)?;
    let bound = (|| {
        let inner = hidden.join("s");
        let listener = UnixListener::bind(&inner)?;
        let mode = match audience {
            Audience::Root => 0o600,
            Audience::Group(group) => {
                chown(&inner, None, Some(group))?;
                0o660
            }
        };
        fs::set_permissions(&inner, Permissions::from_mode(mode))?;
        fs::hard_link(&inner, path)?;
        Ok(listener)
    })();
    fs::remove_dir_all(hidden)?;
    bound
}

/// Talks on one connection, in a thread of its own, until it returns.
pub type Conversation = Arc<dyn Fn(&UnixStream, Asker) + Send + Sync>;

/// A socket being served. Dropping it ends the service, closes the connections and removes the file; conversations
/// that are in the middle of an answer may outlive it.
#[derive(Debug)]
pub struct Served {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves at most `most` connections of the socket's audience at a time, the last quarter of them root's alone;
    /// further ones are closed at once. When the socket's file is removed, the service ends and `removed` is called from the
    /// serving thread; it should only pass the word on.
    pub fn start(
        bound: Bound,
        most: usize,
        conversation: Conversation,
        removed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(EventFd::new()?);
        bound.listener.set_nonblocking(true)?;
        let mut acceptor = Acceptor {
            watch: bound.file.as_ref().and_then(watch),
            bound,
            most,
            conversation,
            connections: Connections::default(),
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new().name("weir-accept".into()).spawn(move || {
            let ended = acceptor.run();
            acceptor.connections.close();
            // The file is gone before anyone hears that the service has ended.
            drop(acceptor);
            if ended == Ended::Removed {
                removed();
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Fails only where the counter is full, and then the thread is awake already.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by the panic itself.
            let _ = thread.join();
        }
    }
}

/// Watches the socket's directory; where the host has no inotify to spare, the file is looked at from time to time.
fn watch(file: &SocketFile) -> Option<Inotify> {
    let watched = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).and_then(|inotify| {
        let directory = file.path.parent().unwrap_or(Path::new("/"));
        let removals =
            AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(directory, removals)?;
        Ok(inotify)
    });
    watched
        .inspect_err(|e| tracing::warn!("{}: cannot watch for its removal: {e}", file.path.display()))
        .ok()
}

#[derive(PartialEq, Eq)]
enum Ended {
    Stopped,
    Removed,
}

struct Acceptor {
    bound: Bound,
    watch: Option<Inotify>,
    most: usize,
    conversation: Conversation,
    connections: Connections,
    stop: Arc<EventFd>,
}

impl Acceptor {
    fn run(&mut self) -> Ended {
        const LOOK_AGAIN_MS: u16 = 2000;
        let unwatched = self.bound.file.is_some() && self.watch.is_none();
        let timeout = if unwatched {
            PollTimeout::from(LOOK_AGAIN_MS)
        } else {
            PollTimeout::NONE
        };
        loop {
            let mut ready = vec![
                PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.bound.listener.as_fd(), PollFlags::POLLIN),
            ];
            if let Some(watch) = &self.watch {
                ready.push(PollFd::new(watch.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut ready, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => tracing::error!("waiting for connections: {error}"),
            }
            let [stopping, connecting, changing] =
                [0, 1, 2].map(|i| ready.get(i).and_then(PollFd::any) == Some(true));
            if stopping {
                return Ended::Stopped;
            }
            if changing && let Some(watch) = &self.watch {
                // Which files it names does not matter, the socket's own is looked at.
                while watch.read_events().is_ok_and(|events| !events.is_empty()) {}
            }
            if self.bound.file.as_ref().is_some_and(|f| !f.is_there()) {
                return Ended::Removed;
            }
            if connecting {
                self.accept();
            }
        }
    }

    fn accept(&self) {
        const RELIEF: Duration = Duration::from_millis(100);
        match self.bound.listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = self.admit(stream) {
                    tracing::warn!("a connection was refused: {error}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Out of descriptors, most likely; they do not come back faster by asking.
                tracing::warn!("accepting a connection: {error}");
                thread::sleep(RELIEF);
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<()> {
        let uid = getsockopt(&stream, PeerCredentials)?.uid();
        let asker = if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
            Asker::Root
        } else {
            match self.bound.audience {
                Audience::Root => return Err(io::Error::other(format!("user {uid} is not root"))),
                // Who is neither root nor of the group, the kernel lets nowhere near: connect(2) takes the right to
                // write to the socket's file.
                Audience::Group(_) => Asker::Member,
            }
        };
        stream.set_nonblocking(false)?;
        // Root finds a place whatever the group's members do.
        let most = match asker {
            Asker::Root => self.most,
            Asker::Member => self.most - self.most / 4,
        };
        let entry = self.connections.enter(stream.try_clone()?, most)?;
        let conversation = Arc::clone(&self.conversation);
        thread::Builder::new()
            .name("weir-client".into())
            .spawn(move || {
                conversation(&stream, asker);
                // The clone in the list keeps the connection open otherwise; the client may have closed it already.
                let _ = stream.shutdown(Shutdown::Both);
                drop(entry);
            })
            .map(drop)
    }
}

/// The open connections.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, UnixStream>,
}

impl Connections {
    fn enter(&self, stream: UnixStream, most: usize) -> io::Result<Entry> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.streams.len() >= most {
            return Err(io::Error::other(format!("{most} connections are open already")));
        }
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream);
        Ok(Entry {
            connections: self.clone(),
            number,
        })
    }

    fn close(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.streams.values() {
            // One that the client closed before needs no shutting down.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A connection's place in the list, given up when dropped.
struct Entry {
    connections: Connections,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.streams.remove(&self.number);
    }
}
