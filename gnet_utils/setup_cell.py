# Set-up: find the course in this folder or above; on Colab, unpack or clone it first.
import subprocess
import sys
import zipfile
from pathlib import Path

REPO_URL = ""  # written by: python -m gnet_utils bundle --repo URL


def find_course():
    here = Path.cwd()
    places = [here, here / "gnet-course", *here.parents]
    return next((place for place in places if (place / "gnet_utils").is_dir()), None)


if "google.colab" in sys.modules and not find_course():
    if Path("gnet-course.zip").exists():
        zipfile.ZipFile("gnet-course.zip").extractall()
    elif REPO_URL:
        subprocess.run(["git", "clone", "--depth", "1", REPO_URL, "gnet-course"], check=True)
if not find_course():
    raise ModuleNotFoundError("open this in the course folder, or put gnet-course.zip beside it")
sys.path.insert(0, str(find_course()))
