"""The manifests under docs/kubernetes, as far as they can be checked without a cluster.

Always: each is YAML; what a container mounts is a volume of its pod; the library that is preloaded lies in a
volume that an init container fills; the configuration that VHBM_CONFIG names is there and `vhbm config
check` accepts it; every other VHBM_ variable is an option; the pod's memory holds host_limit; the state
lies in a volume that pods of one node share.

Where the Python package kubernetes-validate is installed: core objects against the published schemas of
Kubernetes, and the pod of KServe's predictor against that of a pod. Where kserve is: the predictor's and the
model's keys against its SDK. Each that is not there is said. Nothing here runs a pod.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    print("skipped: no YAML parser (python3-yaml)")
    sys.exit(77)

VHBM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
PRELOADED = "libvhbm.so"
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


def vhbm(*arguments, environment=None):
    """What the command says; sanitizers of the test's own environment are kept."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VHBM_")}
    return subprocess.run([VHBM, *arguments], env={**clean, **(environment or {})},
                          capture_output=True, text=True, check=False)


OPTIONS = {row["variable"] for row in json.loads(vhbm("config", "options", "--json").stdout)}


def quantity(text):
    """A Kubernetes quantity of memory, or a size of vHBM's, in bytes."""
    text = str(text).removesuffix("B")
    return int(text[:-2]) * UNITS[text[-2:]] if text[-2:] in UNITS else int(text)


def volume_at(container, path):
    """The volume that is mounted where `path` lies; the deepest one counts."""
    mounts = [m for m in container.get("volumeMounts", [])
              if pathlib.PurePosixPath(path).is_relative_to(m["mountPath"])]
    return max(mounts, key=lambda m: len(m["mountPath"]), default={}).get("name")


def check_configuration(where, text, container):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        check = vhbm("config", "check", file.name)
        expect(check.returncode == 0, f"{where}: {check.stdout}{check.stderr}")
        shown = vhbm("config", "show", "--json", "--config", file.name)
        if shown.returncode != 0:
            return
        limit = json.loads(shown.stdout)["options"]["host_limit"]["value"]
    memory = container["resources"]["limits"]["memory"]
    expect(limit[0].isdigit() and not limit.endswith("%"),
           f"{where}: host_limit = {limit}: a pod's has to be in bytes")
    if limit[0].isdigit() and not limit.endswith("%"):
        expect(quantity(limit) < quantity(memory),
               f"{where}: host_limit {limit} does not leave room in the pod's memory, {memory}")


def check_server(where, container, pod, config_maps):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    environment = {one["name"]: one.get("value") for one in container["env"]}
    for name in environment:
        expect(not name.startswith("VHBM_") or name == "VHBM_CONFIG" or name in OPTIONS,
               f"{where}: {name} is no option of vHBM")
    for name in ("LD_PRELOAD", "VHBM_CONFIG", "VHBM_STATE_DIR"):
        if not environment.get(name):
            expect(False, f"{where}: the server has no {name}")
            return
    library = environment["LD_PRELOAD"]
    expect(library.endswith("/" + PRELOADED), f"{where}: LD_PRELOAD is {library}")
    filled = [mount["name"] for init in pod.get("initContainers", []) for mount in init["volumeMounts"]]
    expect(volume_at(container, library) in filled, f"{where}: nothing fills what holds {library}")

    config = pathlib.PurePosixPath(environment["VHBM_CONFIG"])
    source = volumes.get(volume_at(container, str(config)), {}).get("configMap", {})
    text = config_maps.get(source.get("name"), {}).get(config.name)
    expect(text is not None, f"{where}: no ConfigMap puts anything at {config}")
    if text is not None:
        check_configuration(where, text, container)
    state = volumes.get(volume_at(container, environment["VHBM_STATE_DIR"]), {})
    expect("hostPath" in state, f"{where}: the state lies in no volume that pods share")


def check_pod(where, pod, servers, config_maps):
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod.get("initContainers", []) + servers:
        for mount in container.get("volumeMounts", []):
            expect(mount["name"] in volumes, f"{where}: no volume {mount['name']}")
    for container in servers:
        check_server(where, container, pod, config_maps)


def pod_of(document):
    """The pod, and the containers in it that serve."""
    if document["kind"] == "Deployment":
        pod = document["spec"]["template"]["spec"]
        return pod, pod["containers"]
    if document["kind"] == "InferenceService":
        pod = document["spec"]["predictor"]
        return pod, [pod["model"]]
    return None, []


def check_schema(where, document, partial):
    """Against Kubernetes' own schemas: the document, or the pod in it that its operator makes."""
    import kubernetes_validate
    pod, servers = pod_of(document)
    if pod is not None and (partial or document["kind"] == "InferenceService"):
        # A patch and a predictor leave out what another document says: the image, above all.
        known = {"modelFormat", "storageUri"}
        containers = [{"name": "server", "image": "x",
                       **{key: value for key, value in one.items() if key not in known}}
                      for one in servers]
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"],
                    "spec": {**{key: value for key, value in pod.items() if key != "model"},
                             "containers": containers}}
    if "." in document["apiVersion"].split("/")[0]:
        return False
    try:
        kubernetes_validate.validate(document, "1.37", strict=True)
    except kubernetes_validate.ValidationError as error:
        expect(False, f"{where}: {document['kind']}: {'.'.join(map(str, error.path))}: {error.message}")
    return True


def sdk_models():
    """The models of KServe's SDK by name, without importing all that it needs."""
    spec = importlib.util.find_spec("kserve")
    folder = pathlib.Path(spec.origin).parent / "models"
    keys = {}
    for name in ("v1beta1_predictor_spec", "v1beta1_model_spec"):
        text = (folder / f"{name}.py").read_text()
        part = text[text.index("attribute_map = {"):]
        body = part[part.index("{"):part.index("}") + 1]
        keys[name] = set(json.loads(body.replace("'", '"')).values())
    return keys


def main():
    has_schemas = importlib.util.find_spec("kubernetes_validate") is not None
    has_sdk = importlib.util.find_spec("kserve") is not None
    files = sorted(FOLDER.rglob("*.yaml"))
    documents = [(file, one) for file in files for one in yaml.safe_load_all(file.read_text())]
    checked = against_schema = 0
    for file, document in documents:
        where = str(file.relative_to(FOLDER))
        for key in ("apiVersion", "kind"):
            expect(key in document, f"{where}: no {key}")
        pod, servers = pod_of(document)
        # A file is applied by itself, a folder of kustomize as a whole.
        whole = (file.parent / "kustomization.yaml").exists()
        maps = {one["metadata"]["name"]: one["data"] for other, one in documents
                if one["kind"] == "ConfigMap" and
                (other == file or whole and other.parent == file.parent)}
        if pod is not None:
            check_pod(where, pod, servers, maps)
            checked += 1
        if has_schemas and check_schema(where, document, file.name.startswith("patch-")):
            against_schema += 1
        if has_sdk and document["kind"] == "InferenceService":
            models = sdk_models()
            for keys, known in ((pod, "v1beta1_predictor_spec"), (pod["model"], "v1beta1_model_spec")):
                for key in set(keys) - models[known]:
                    expect(False, f"{where}: KServe's SDK knows no {key} in {known}")
        if document["kind"] == "Component":
            for name in document["resources"] + [patch["path"] for patch in document["patches"]]:
                expect((file.parent / name).exists(), f"{where}: no file {name}")
    expect(checked == 3, f"{checked} pods were found, not 3")
    for failure in failures:
        print("FAILED", failure)
    print(f"{len(documents)} documents, {checked} pods; against Kubernetes' schemas: "
          + (str(against_schema) if has_schemas else "none, kubernetes-validate is not installed")
          + "; against KServe's SDK: " + ("yes" if has_sdk else "no, it is not installed"))
    return 1 if failures else 0


sys.exit(main())
