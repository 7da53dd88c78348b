"""A quick action of Finder: an Automator workflow that captions the selected files and folders, and tells the end.

The workflow is a folder with two property lists. Their keys are those that Automator writes (macOS 14).
"""

from __future__ import annotations

import plistlib
import shlex
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from jobs.errors import ServiceError

NAME = "Caption with captionq"
#: The program that makes Finder read the folder of workflows again.
_REFRESH = ("/System/Library/CoreServices/pbs", "-flush")
_REFRESH_SECONDS = 10
_FILES = "com.apple.Automator.fileSystemObject"
_NOTHING = "com.apple.Automator.nothing"
_STRINGS = "com.apple.cocoa.string"
_IDENTIFIER = "captionq.quick-action"

# The notification is an argument of osascript, never a part of its program: names of files may hold anything.
_SCRIPT = """\
output=$({command} caption --no-notify -- "$@" 2>&1)
summary=$(printf '%s\\n' "$output" | grep -E '^([0-9]+ images?: |Error: )' | tail -n 1)
osascript -e 'on run argv' -e 'display notification (item 1 of argv) with title "captionq"' -e 'end run' \\
  "${{summary:-captionq has ended without a summary.}}"
"""


def script(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the shell script, for `sh`, that captions its arguments. Shortcuts can run it as well."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    return _SCRIPT.format(command=shlex.join(["env", *variables, *command]))


def place(home: Path) -> Path:
    """Return the workflow's folder."""
    return home / "Library/Services" / f"{NAME}.workflow"


def install(folder: Path, text: str) -> None:
    """Write the workflow, in place of an older one. Raises ServiceError for a folder of that name that is another's."""
    _check_own(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".captionq-") as made:
        bundle = Path(made) / folder.name
        (bundle / "Contents").mkdir(parents=True)
        (bundle / "Contents/Info.plist").write_bytes(plistlib.dumps(_INFO))
        (bundle / "Contents/document.wflow").write_bytes(plistlib.dumps(_document(text)))
        shutil.rmtree(folder, ignore_errors=True)
        bundle.rename(folder)
    _refresh()


def uninstall(folder: Path) -> bool:
    """Remove the workflow; return whether there was one. Raises ServiceError for a folder of that name that is another's."""
    if not folder.exists():
        return False
    _check_own(folder)
    shutil.rmtree(folder)
    _refresh()
    return True


def _check_own(folder: Path) -> None:
    if not folder.exists():
        return
    with suppress(OSError, ValueError, plistlib.InvalidFileException):
        if plistlib.loads((folder / "Contents/Info.plist").read_bytes()).get("CFBundleIdentifier") == _IDENTIFIER:
            return
    raise ServiceError(f"{folder} is not captionq's. Rename it or move it away.")


def _refresh() -> None:
    """Let Finder see the change at once. Without this it does so at the next login."""
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(_REFRESH, timeout=_REFRESH_SECONDS, check=False, capture_output=True)


_INFO = {
    "CFBundleIdentifier": _IDENTIFIER,
    "CFBundleName": NAME,
    "CFBundleShortVersionString": "1.0",
    "NSServices": [
        {
            "NSMenuItem": {"default": NAME},
            "NSMessage": "runWorkflowAsService",
            "NSRequiredContext": {"NSApplicationIdentifier": "com.apple.finder"},
            "NSSendFileTypes": ["public.image", "public.folder"],
        }
    ],
}


def _document(text: str) -> dict[str, object]:
    parameters = {
        "COMMAND_STRING": text,
        "CheckedForUserDefaultShell": True,
        "inputMethod": 1,  # the selection comes as arguments
        "shell": "/bin/sh",
        "source": "",
    }
    action = {
        "AMAccepts": {"Container": "List", "Optional": True, "Types": [_STRINGS]},
        "AMActionVersion": "2.0.3",
        "AMApplication": ["Automator"],
        "AMParameterProperties": {name: {} for name in parameters},
        "AMProvides": {"Container": "List", "Types": [_STRINGS]},
        "ActionBundlePath": "/System/Library/Automator/Run Shell Script.action",
        "ActionName": "Run Shell Script",
        "ActionParameters": parameters,
        "BundleIdentifier": "com.apple.RunShellScript",
        "CFBundleVersion": "2.0.3",
        "CanShowSelectedItemsWhenRun": False,
        "CanShowWhenRun": True,
        "Category": ["AMCategoryUtilities"],
        "Class Name": "RunShellScriptAction",
        "InputUUID": _uuid("input"),
        "OutputUUID": _uuid("output"),
        "UUID": _uuid("action"),
        "UnlocalizedApplications": ["Automator"],
        "isViewVisible": 1,
    }
    return {
        "AMApplicationBuild": "523",
        "AMApplicationVersion": "2.10",
        "AMDocumentVersion": "2",
        "actions": [{"action": action, "isViewVisible": 1}],
        "connectors": {},
        "workflowMetaData": {
            "inputTypeIdentifier": _FILES,
            "outputTypeIdentifier": _NOTHING,
            "presentationMode": 15,
            "processesInput": 0,
            "serviceInputTypeIdentifier": _FILES,
            "serviceOutputTypeIdentifier": _NOTHING,
            "serviceProcessesInput": 0,
            "systemImageName": "NSActionTemplate",
            "useAutomaticInputType": 0,
            "workflowTypeIdentifier": "com.apple.Automator.servicesMenu",
        },
    }


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{_IDENTIFIER}")).upper()
