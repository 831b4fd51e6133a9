# Set-up: find the course in this folder or above; on Colab, unpack or clone it first.
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

REPO_URL = ""  # written by: python -m gnet_utils bundle --repo URL


def find_course():
    places = [Path.cwd(), Path.cwd() / "gnet-course", *Path.cwd().parents]
    return next((place for place in places if (place / "gnet_utils").is_dir()), None)


problem = "open this in the course folder, or put gnet-course.zip beside it on Colab"
if "google.colab" in sys.modules and not find_course():
    for path in sorted(Path().glob("gnet-course*.zip"), key=lambda path: path.stat().st_mtime):
        problem = f"{path} is not complete: wait for the end of its upload, run this cell again"
        if zipfile.is_zipfile(path):
            zipfile.ZipFile(path).extractall()
    if REPO_URL and not find_course():
        problem = f"{REPO_URL} cannot be cloned: put gnet-course.zip beside this notebook"
        subprocess.run(["git", "clone", "--depth", "1", REPO_URL, "gnet-course"])
if not find_course():
    raise ModuleNotFoundError(problem)
sys.path.insert(0, str(find_course()))
import_module("gnet_utils").check_kernel()
