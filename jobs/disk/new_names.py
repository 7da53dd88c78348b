"""Names for files that never replace another file: two processes may want one name at the same moment."""

from __future__ import annotations

import os
from pathlib import Path


def give_name(file: Path, name: Path) -> bool:
    """Give a file a second name in its file system; where there are no hard links (SMB, exFAT), this is its only one then.

    Returns False if the name is taken. Raises OSError.
    """
    try:
        # Unlike a rename, a link never replaces a file that came into being a moment ago.
        os.link(file, name)
    except FileExistsError:
        return False
    except OSError:
        # Any other error than that of missing links will come from the rename.
        if os.path.lexists(name):
            return False
        file.rename(name)
    return True
