"""The operator's key for second factors, as what seals and opens the secrets of authenticators."""

from shared.sealing import Sealer, key_id, key_of
from shared.settings import Secret


def sealer(factor_key: Secret) -> Sealer | None:
    """Return what seals with the key; None without a key. Raises: SettingsError for a key that is no random 32 bytes."""
    if not factor_key.reveal():
        return None
    key = key_of("RELAY_FACTOR_KEY", factor_key)
    return Sealer({key_id(key): key}, key_id(key))
