"""Weir's units under the systemd of a container, from the inside: `cargo xtask test --only nspawn`.

Each line of output is `ok NAME: what was seen` or `FAIL NAME: what was seen`, and the last one is
`end`. Nothing here touches the host.
"""

import ctypes
import datetime
import hashlib
import hmac
import http.client
import os
import signal
import subprocess
import threading
import time

EDGE = "weir-edge.service"
ETC = "/etc/weir"
# RFC 8037, appendix A.2: nothing of the trial asks with a token.
JWKS = (
    '{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"trial",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)
SECRETS = {"edge": "edge-secret-of-the-trial", "packager": "packager-secret-of-the-trial"}
URL = "http://127.0.0.1/try/hello.txt"
BODY = "served\n"


def run(*words, timeout=120):
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    return done.returncode, (done.stdout + done.stderr).strip()


def show(unit, name):
    return run("systemctl", "show", "-P", name, unit)[1]


def tell(good, name, seen):
    print("ok" if good else "FAIL", f"{name}: {seen}".replace("\n", " | "), flush=True)
    return good


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def until(seconds, what):
    """Waits for `what` to hold; how long it took, or nothing."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if what():
            return time.monotonic() - begun
        time.sleep(0.1)
    return None


def get(url=URL, patience=10, *more):
    """Over a connection of its own: whether the body came whole, and what was said."""
    code, said = run("curl", "-sS", "--max-time", str(patience), *more, url, timeout=patience + 30)
    return (code == 0 and said + "\n" == BODY), f"{code} {said}"


def configure():
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "weir.conf")
    for key, secret in SECRETS.items():
        write(f"{ETC}/origin/credentials/{key}.secret", secret + "\n", 0o600)
    credentials = f"{ETC}/edge/credentials"
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=cdn.example",
        "-addext", "subjectAltName=DNS:cdn.example",
        "-keyout", f"{credentials}/edge.key", "-out", f"{credentials}/edge.pem",
    )
    write(f"{credentials}/jwks.json", JWKS, 0o600)
    s3 = f'access_key = "edge"\nsecret_key = "{SECRETS["edge"]}"\n'
    write(f"{credentials}/s3.toml", s3, 0o600)
    # The units' own configuration, with a small disk and a service without tokens.
    write(
        f"{ETC}/edge/conf.d/50-trial.toml",
        '[cache]\nmemory = "160 MiB"\n'
        '[[cache.disk]]\npath = "/var/cache/weir-edge/disk0"\nsize = "256 MiB"\n'
        '[[service]]\nid = "try"\npath_prefix = "/try/"\nstrip_prefix = "/try/"\n'
        'preset = "media"\nupstreams = ["films"]\n',
    )
    # The time that a hang may take is the only thing of the unit that is changed.
    write(f"/etc/systemd/system/{EDGE}.d/trial.conf", "[Service]\nWatchdogSec=6s\n")
    run("systemctl", "daemon-reload")


def start():
    code, said = run("systemctl", "start", "weir-origin.service", EDGE)
    good = code == 0
    for unit in ("weir-origin.service", EDGE):
        state, status = show(unit, "ActiveState"), show(unit, "StatusText")
        good &= tell(state == "active", f"start of {unit}", f"{state}, {status or said}")
        if state != "active":
            print(run("journalctl", "-u", unit, "-n", "30", "--no-pager", "-o", "cat")[1])
    return good


def put(path, body):
    """An S3 PUT as the packager (AWS Signature Version 4)."""
    host, now = "127.0.0.1:9000", datetime.datetime.now(datetime.timezone.utc)
    time_of, digest = now.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
    fields = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": time_of}
    names = ";".join(fields)
    lines = "".join(f"{name}:{value}\n" for name, value in fields.items())
    canonical = f"PUT\n{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{time_of[:8]}/local/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time_of}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + SECRETS["packager"]).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    fields["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=packager/{scope}, SignedHeaders={names}, "
        f"Signature={key.hex()}"
    )
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("PUT", path, body, fields)
    return connection.getresponse().status


def serves():
    status = put("/films/hello.txt", BODY.encode())
    tell(status == 200, "an object is put", status)
    tell(*reply("http", *get()))
    tell(*reply("http over IPv6", *get("http://[::1]/try/hello.txt")))
    tell(*reply("https, key by LoadCredential", *get("https://127.0.0.1/try/hello.txt", 10, "-k")))
    who = run("stat", "-c", "%U", f"/proc/{pid()}")[1]
    capabilities = [
        line.split()[1] for line in open(f"/proc/{pid()}/status") if line.startswith("Cap")
    ]
    none = all(int(each, 16) == 0 for each in capabilities)
    tell(none, "no privilege", f"{who}, capabilities {set(capabilities)}")


def reply(name, good, seen):
    return good, name, seen


def pid():
    return int(show(EDGE, "MainPID") or 0)


def restarts():
    return int(show(EDGE, "NRestarts") or 0)


def exposure():
    """What the systemd that runs the unit says of it, of 10."""
    said = run("systemd-analyze", "security", "--no-pager", EDGE)[1]
    line = [line for line in said.splitlines() if "Overall exposure level" in line]
    level = float(line[-1].split(": ")[1].split()[0]) if line else 10.0
    tell(level <= 1.2, "exposure", level)


def reload():
    before = pid()
    code, said = run("systemctl", "reload", EDGE)
    active = until(10, lambda: show(EDGE, "ActiveState") == "active") is not None
    good = code == 0 and active and pid() == before
    tell(good, "reload", f"{said or 'taken'}, the same process, {get()[1]}")


def reloading():
    """A reload that systemd was not asked for: it knows of it by RELOADING=1 alone."""
    run("systemctl", "log-level", "debug")
    os.kill(pid(), signal.SIGHUP)
    wanted = ("RELOADING=1", "Changed running -> reload", "Changed reload -> running")

    def journal():
        said = run("journalctl", "--no-pager", "-o", "cat", "-n", "2000", f"UNIT={EDGE}")[1]
        return [word for word in wanted if word in said]

    until(10, lambda: len(journal()) == len(wanted))
    run("systemctl", "log-level", "info")
    tell(journal() == list(wanted), "RELOADING on SIGHUP", journal())


class Clients:
    """Clients that ask without a pause, each time over a new connection."""

    def __init__(self, count):
        self.over, self.good, self.bad, self.slowest = False, 0, [], 0.0
        self.threads = [threading.Thread(target=self.ask) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while not self.over:
            begun = time.monotonic()
            good, seen = get(URL, 60)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if good:
                self.good += 1
            else:
                self.bad.append(seen)

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join()
        return self.good > 0 and not self.bad

    def __str__(self):
        return f"{self.good} served, {len(self.bad)} not {self.bad[:3]}, slowest {self.slowest:.1f} s"


def held_over_restarts():
    clients, before = Clients(4), pid()
    for _ in range(3):
        time.sleep(1)
        run("systemctl", "restart", EDGE)
    time.sleep(1)
    clients.end()
    # Known to be wrong: a connection that the old process has taken and that has not asked yet is
    # closed when it drains (curl: 52, 56), about one in a thousand here. None may be refused or
    # left waiting.
    closed = [seen for seen in clients.bad if seen.startswith(("52 ", "56 "))]
    good = len(closed) == len(clients.bad) and len(closed) * 100 <= clients.good
    tell(good and pid() != before, "connections over three restarts", clients)


def without_sockets():
    """The control: ports that close while the server restarts, for lack of the socket unit."""
    run("systemctl", "stop", "weir-edge.socket", EDGE)
    lines = open(f"/etc/systemd/system/{EDGE}").read().splitlines()
    # The capability is what the sockets of the unit make unnecessary.
    changed = {"CapabilityBoundingSet=": "CAP_NET_BIND_SERVICE", "PrivateUsers=yes": "",
               "AmbientCapabilities=": "CAP_NET_BIND_SERVICE"}
    lines = [line + changed.get(line, "") for line in lines if "weir-edge.socket" not in line]
    text = "\n".join(line.replace("PrivateUsers=yes", "PrivateUsers=no") for line in lines)
    write("/run/systemd/system/weir-alone.service", text + "\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "weir-alone.service")
    clients = Clients(4)
    time.sleep(1)
    run("systemctl", "restart", "weir-alone.service")
    time.sleep(1)
    clients.end()
    tell(clients.good > 0 and bool(clients.bad), "control: without the socket unit some fail", clients)


def hangs(name, hang):
    """A hang ends in a restart by the watchdog, and who connects meanwhile is served."""
    before, count, begun = pid(), restarts(), time.monotonic()
    release = hang(before)
    waiting = Clients(1)
    # The watchdog has ended it: what holds it must let it go.
    until(40, lambda: show(EDGE, "SubState") != "running" or restarts() > count)
    release()
    until(40, lambda: restarts() > count and show(EDGE, "ActiveState") == "active")
    again = restarts() - count
    took = time.monotonic() - begun if again else None
    served = waiting.end()
    journal = run("journalctl", "-u", EDGE, "--since", f"-{int(time.monotonic() - begun) + 1}s",
                  "--no-pager", "-o", "cat")[1]
    said = [line for line in journal.splitlines() if "atchdog" in line or "no progress" in line]
    good = took is not None and served and pid() != before and any("atchdog" in l for l in said)
    tell(good, name, f"restarted after {took and round(took, 1)} s, {waiting}; {said[-2:]}")


def stop_all(process):
    os.kill(process, signal.SIGSTOP)
    return lambda: None


def stop_thread(wanted):
    def stop(process):
        libc = ctypes.CDLL(None, use_errno=True)
        threads = os.listdir(f"/proc/{process}/task")
        comm = {int(t): open(f"/proc/{process}/task/{t}/comm").read().strip() for t in threads}
        victims = [thread for thread, name in comm.items() if name.startswith(wanted)]
        held, released = threading.Event(), threading.Event()

        # PTRACE_ATTACH stops one thread and no other; whoever attached has to wait for it.
        def hold():
            for victim in victims:
                if libc.ptrace(16, victim, None, None) != 0:
                    print("ptrace:", os.strerror(ctypes.get_errno()), comm[victim])
            held.set()
            # With this thread the hold ends.
            released.wait(60)

        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        print("held:", [comm[victim] for victim in victims])
        return released.set

    return stop


def well_for(seconds):
    count = restarts()
    time.sleep(seconds)
    tell(restarts() == count, f"idle for {seconds} s", f"{restarts() - count} restarts")


def main():
    print(run("systemctl", "--version")[1].splitlines()[0])
    configure()
    if start():
        serves()
        exposure()
        reload()
        reloading()
        well_for(10)
        held_over_restarts()
        hangs("the process hangs (SIGSTOP)", stop_all)
        hangs("one worker of four hangs (ptrace)", stop_thread("edge-2"))
        hangs("the fill threads hang (ptrace)", stop_thread("fill"))
        without_sockets()
    print("end", flush=True)


main()
