"""The operator's master keys as what seals and opens: the current one, and the one before it while credentials are sealed anew."""

from shared.sealing import Sealer, key_id, key_of
from shared.settings import Secret

FIRST_KEY_ID = "k1"  # what every key was called before keys had names of their own


def sealer(master_key: Secret, previous: Secret) -> Sealer:
    """Return what seals with the master key, and also opens what the previous one has sealed, if there is one.

    Raises: SettingsError for a key that is no random 32 bytes.
    """
    current = key_of("RELAY_MASTER_KEY", master_key)
    keys = {key_id(current): current, FIRST_KEY_ID: current}
    if previous.reveal():
        before = key_of("RELAY_MASTER_KEY_PREVIOUS", previous)
        keys |= {key_id(before): before, FIRST_KEY_ID: before}
    return Sealer(keys, key_id(current))
