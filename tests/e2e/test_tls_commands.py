"""`tls ca create` and `tls cert create` beside the peer: exit codes, output and files to the letter, certificates field by
field (cli.md 2.28, tls.md 15)."""

import datetime
import os
import re
import shlex
import shutil
import subprocess

CALLS = """
ca create extra -days=3
ca create -days=0 -domain=zero
ca create -days=-1 -domain=gone
ca create -domain=
ca create -domain=nc -name-constraint -additional-name-constraint=a.b -additional-name-constraint=.c.d
ca create -domain=loose -additional-name-constraint=a.b
ca create -domain=folder/in/folder
ca create -days=99999999 -domain=far
ca create -days=40000 -domain=late
ca create -domain='ü x'
ca create
cert create
cert create -server
cert create -server
cert create -client -days=0
cert create -client -days=-1
cert create -client -days=9999999
cert create -client -domain=gone
cert create -server -domain=nc
cert create -server -domain=nc -additional-dnsname=bad.com
cert create -server -domain=nc -additional-dnsname=x.a.b -additional-dnsname=A.B -additional-dnsname=e.c.d
cert create -server -domain=nc -additional-dnsname=c.d
cert create -server -ca=consul-agent-ca.pem -domain=bad
cert create -server -ca=consul-agent-ca.pem -key=nc-agent-ca-key.pem
cert create -server -ca=nc-agent-ca-key.pem -key=nc-agent-ca.pem
cert create -server -ca=nc-agent-ca-key.pem
cert create -client -ca=/
cert create -client -key=/tmp
cert create -client -key=consul-agent-ca.pem
cert create -client -additional-dnsname=' a.b ' -additional-dnsname= -additional-ipaddress=::1 -additional-ipaddress=' 10.1.1.1 '
cert create -client -additional-ipaddress=::ffff:1.2.3.4 -additional-ipaddress=01.002.3.0
cert create -client -additional-ipaddress=1.2.3
cert create -client -additional-ipaddress=fe80::1%eth0
cert create -cli -additional-dnsname=dropped -additional-ipaddress=10.0.0.5
cert create -cli
cert create -server -node=n1 -dc=DC2
cert create -server -node='N_x y'
cert create -client -node=n1
cert create -client -dc='ü'
cert create -client -dc=
cert create -client -dc=a/b
cert create -client -dc='*'
cert create -client -dc='a&b'
cert create -client -domain=d#DOMAIN# -ca=consul-agent-ca.pem -key=consul-agent-ca-key.pem
cert create -client -domain=zz -ca=#DOMAIN##DOMAIN#
cert create extra -client
cert create -client extra
cert create -client -cli
cert create -client -ca= -key=
cert create -client -key=
cert create -client -domain=p384
cert create -client -domain=p521
cert create -client -domain=pkcs8
cert create -client -domain=param
cert create -client -domain=leaf
cert create -client -ca=pkcs8-agent-ca.pem -key=consul-agent-ca-key.pem
cert create -client -ca=rsa-agent-ca.pem -key=consul-agent-ca-key.pem
cert create -client -ca=leaf-agent-ca.pem -key=consul-agent-ca-key.pem
cert create -client -domain=nopem
cert create -client -domain=address
cert create -cli -domain=address -additional-ipaddress=10.1.1.1
""".strip().split("\n")


def foreign_authorities(folder):
    """Authorities that no `tls ca create` makes."""
    def run(*argv, text=None):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True, input=text, text=True)

    def authority(name, extensions):
        run("req", "-x509", "-key", name + "-agent-ca-key.pem", "-days", "10", "-out", name + "-agent-ca.pem", "-config",
            "/dev/stdin", text="[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=%s\n[ext]\n"
            "subjectKeyIdentifier=hash\n%s\n" % (name, extensions))
    ca = "basicConstraints=critical,CA:true"
    for name, curve, extensions in (("p384", "secp384r1", ca), ("p521", "secp521r1", ca), ("leaf", "prime256v1", "basicConstraints=CA:false"),
                                    ("address", "prime256v1", ca + "\nnameConstraints=permitted;IP:10.0.0.0/255.0.0.0")):
        run("ecparam", "-genkey", "-noout", "-name", curve, "-out", name + "-agent-ca-key.pem")
        authority(name, extensions)
    run("ecparam", "-genkey", "-name", "prime256v1", "-out", "param-agent-ca-key.pem")
    authority("param", ca)
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "pkcs8-agent-ca-key.pem")
    authority("pkcs8", ca)
    run("genpkey", "-algorithm", "RSA", "-out", "rsa-agent-ca-key.pem")
    authority("rsa", ca)
    for name in ("nopem-agent-ca.pem", "nopem-agent-ca-key.pem"):
        with open(os.path.join(folder, name), "w") as handle:
            handle.write("nothing\n")


def plain(text):
    text = re.sub(r"Consul Agent CA \d+", "Consul Agent CA N", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)


def dissected(path):
    """A certificate without what is random: fields, ASN.1 types, order."""
    text = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    der = subprocess.run(["openssl", "asn1parse", "-in", path], capture_output=True, text=True, check=True).stdout
    text = re.sub(r"(?m)^ +([0-9a-f]{2}:)+[0-9a-f]{0,2}$", "", text)
    text = re.sub(r"([0-9A-F]{2}:){19,}[0-9A-F]{2}", "ID", text)
    begin, end = (datetime.datetime.strptime(at, "%b %d %H:%M:%S %Y") for at in re.findall(r"Not \w+ ?: (.*) GMT", text))
    # Of two readings of the clock, between which a moment passes.
    valid = datetime.timedelta(minutes=round((end - begin).total_seconds() / 60))
    text = re.sub(r"Not (Before|After ):.*", "", plain(text)) + "valid for %s\n" % valid
    der = re.sub(r"(?m)^.*?(cons|prim): ", "", plain(der))
    der = re.sub(r"(INTEGER +:)[0-9A-F]{10,}", r"\1N", der)
    return text + re.sub(r":\d{12,14}Z|(0420|8020)[0-9A-F]{64}", "RANDOM", der)


def files_of(folder):
    return {os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names}


def test_beside_the_peer(praetor_asan, peer, tmp_path):
    before = str(tmp_path / "before")
    os.makedirs(before)
    foreign_authorities(before)
    there, folders, told = files_of(before), [], []
    for name, binary in (("ours", praetor_asan), ("theirs", peer)):
        folder = str(tmp_path / name)
        shutil.copytree(before, folder)
        folders.append(folder)
        told.append([])
        for call in CALLS:
            got = subprocess.run([binary, "tls", *shlex.split(call)], cwd=folder, capture_output=True, text=True, timeout=120)
            assert "PRIVATE KEY" not in (got.stdout + got.stderr).replace("block type for signing key: PRIVATE KEY", "")
            told[-1].append((call, got.returncode, plain(got.stdout), plain(got.stderr)))
    wrong = ["the peer %r\nours     %r" % (t, o) for o, t in zip(*told) if o != t]
    assert not wrong, "\n".join(wrong)
    made = files_of(folders[1])
    assert files_of(folders[0]) == made
    for name in sorted(made - there):
        ours, theirs = (os.path.join(folder, name) for folder in folders)
        if name.endswith("-key.pem"):
            assert os.stat(ours).st_mode & 0o777 == 0o600, name
            assert os.stat(ours).st_size == os.stat(theirs).st_size, name
        else:
            assert os.stat(ours).st_mode == os.stat(theirs).st_mode, name
            assert dissected(ours) == dissected(theirs), name


def test_existing_files_stay(praetor, tmp_path):
    def run(*argv):
        return subprocess.run([praetor, "tls", *argv], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run("ca", "create").returncode == 0
    key = tmp_path / "consul-agent-ca-key.pem"
    before = key.read_text()
    os.unlink(tmp_path / "consul-agent-ca.pem")
    got = run("ca", "create")
    assert (got.returncode, got.stderr) == (1, "consul-agent-ca-key.pem already exists.\n")
    assert key.read_text() == before and not (tmp_path / "consul-agent-ca.pem").exists()
