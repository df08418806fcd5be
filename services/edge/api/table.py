"""Every route of the JSON API. What is not listed here is not served; each route says who may use it."""

from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import channels, operator, people, site, wallet
from services.edge.receipts import ReceiptView

SITE = Endpoint("GET", "/site", "public", "What the site is and offers", gives=site.Site)
MODELS = Endpoint("GET", "/models", "public", "Models with their prices", gives=site.Models)
STATUS = Endpoint(
    "GET", "/status", "public", "How each model does", query=site.StatusQuery, gives=site.Status
)
OUTBOX = Endpoint(
    "GET", "/outbox", "public", "Messages that no mail server took, of a local stack only", gives=site.Outbox
)

SIGN_UP = Endpoint("POST", "/sign-up", "public", "Make an account", takes=people.SignUp, is_browser_only=True)
CONFIRM_EMAIL = Endpoint(
    "POST", "/sign-up/confirm", "public", "Prove an address, and sign in", takes=people.Token, gives=people.SignedIn,
    is_browser_only=True,
)  # fmt: skip
SIGN_IN = Endpoint(
    "POST", "/sign-in", "public", "Sign in with a password", takes=people.SignIn, gives=people.SignedIn,
    is_browser_only=True,
)  # fmt: skip
SIGN_IN_FACTOR = Endpoint(
    "POST", "/sign-in/factor", "public", "Show a second factor", takes=people.SecondFactor, gives=people.SignedIn,
    is_browser_only=True,
)  # fmt: skip
SIGN_IN_PASSKEY_START = Endpoint(
    "POST", "/sign-in/passkey/start", "public", "Begin to show a passkey", takes=people.PasskeyStart,
    gives=people.PasskeyOptions, is_browser_only=True,
)  # fmt: skip
SIGN_IN_PASSKEY = Endpoint(
    "POST", "/sign-in/passkey", "public", "Sign in with a passkey", takes=people.PasskeyAnswer, gives=people.SignedIn,
    is_browser_only=True,
)  # fmt: skip
OIDC_START = Endpoint(
    "POST", "/oidc/{provider}/start", "public", "Begin somebody else's sign-in", takes=people.OidcStart,
    gives=people.OidcStarted, is_browser_only=True,
)  # fmt: skip
OIDC_CALLBACK = Endpoint(
    "GET", "/oidc/{provider}/callback", "public", "Come back from it", query=people.OidcCallback, media="text/html",
    is_browser_only=True, ignores_unknown=True,
)  # fmt: skip
FORGOT_PASSWORD = Endpoint(
    "POST", "/password/forgot", "public", "Send a link for a new password", takes=people.Email
)
RESET_PASSWORD = Endpoint(
    "POST", "/password/reset", "public", "Set a new password with that link", takes=people.ResetPassword
)
SIGN_OUT = Endpoint("POST", "/sign-out", "person", "End this session", is_browser_only=True)

ME = Endpoint("GET", "/me", "person", "Who has signed in", gives=people.Me)
UPDATE_ME = Endpoint(
    "PATCH", "/me", "person", "Change one's own settings", takes=people.UpdateMe, gives=people.Me
)
CONFIRM = Endpoint(
    "POST", "/me/confirm", "person", "Show password or second factor again", takes=people.Confirm, gives=people.Me,
    is_browser_only=True,
)  # fmt: skip
CONFIRM_PASSKEY_START = Endpoint(
    "POST", "/me/confirm/passkey/start", "person", "Begin to show a passkey again", gives=people.PasskeyOptions,
    is_browser_only=True,
)  # fmt: skip
CONFIRM_PASSKEY = Endpoint(
    "POST", "/me/confirm/passkey", "person", "Show a passkey again", takes=people.PasskeyAnswer, gives=people.Me,
    is_browser_only=True,
)  # fmt: skip
CHANGE_PASSWORD = Endpoint(
    "POST", "/me/password", "person", "Change the password", takes=people.ChangePassword, is_browser_only=True
)
SESSIONS = Endpoint("GET", "/me/sessions", "person", "Where one is signed in", gives=people.Sessions)
END_OTHER_SESSIONS = Endpoint("POST", "/me/sessions/end-others", "person", "Sign out everywhere else")
END_SESSION = Endpoint("DELETE", "/me/sessions/{session_id}", "person", "End one session")
BEGIN_TOTP = Endpoint(
    "POST", "/me/totp", "person", "Get a secret for an authenticator", gives=people.TotpSecret, is_dangerous=True,
    is_browser_only=True,
)  # fmt: skip
CONFIRM_TOTP = Endpoint(
    "POST", "/me/totp/confirm", "person", "Put it in force with a code of it", takes=people.Code,
    gives=people.RecoveryCodes, is_dangerous=True, is_browser_only=True,
)  # fmt: skip
REMOVE_TOTP = Endpoint(
    "DELETE", "/me/totp", "person", "Do without an authenticator", is_dangerous=True, is_browser_only=True
)
NEW_RECOVERY_CODES = Endpoint(
    "POST", "/me/recovery-codes", "person", "Make new recovery codes", gives=people.RecoveryCodes, is_dangerous=True,
    is_browser_only=True,
)  # fmt: skip
PASSKEYS = Endpoint("GET", "/me/passkeys", "person", "One's passkeys", gives=people.Passkeys)
BEGIN_PASSKEY = Endpoint(
    "POST", "/me/passkeys/start", "person", "Begin to add a passkey", gives=people.PasskeyOptions, is_dangerous=True,
    is_browser_only=True,
)  # fmt: skip
ADD_PASSKEY = Endpoint(
    "POST", "/me/passkeys", "person", "Add a passkey", takes=people.PasskeyAnswer, gives=people.Passkey,
    is_dangerous=True, is_browser_only=True,
)  # fmt: skip
REMOVE_PASSKEY = Endpoint(
    "DELETE",
    "/me/passkeys/{passkey_id}",
    "person",
    "Remove a passkey",
    is_dangerous=True,
    is_browser_only=True,
)
MANAGEMENT_KEYS = Endpoint(
    "GET", "/me/management-keys", "person", "One's keys to this API", gives=people.ManagementKeys
)
MAKE_MANAGEMENT_KEY = Endpoint(
    "POST", "/me/management-keys", "person", "Make a key to this API", takes=people.MakeManagementKey,
    gives=people.MadeManagementKey, is_dangerous=True, is_browser_only=True,
)  # fmt: skip
END_MANAGEMENT_KEY = Endpoint("DELETE", "/me/management-keys/{key_id}", "person", "End a key to this API")

OVERVIEW = Endpoint(
    "GET", "/overview", "person", "What the account did", query=wallet.OverviewQuery, gives=wallet.Overview
)
KEYS = Endpoint("GET", "/keys", "person", "The account's API keys", query=wallet.KeysQuery, gives=wallet.Keys)
MAKE_KEY = Endpoint("POST", "/keys", "person", "Make an API key", takes=wallet.MakeKey, gives=wallet.MadeKey)
KEY = Endpoint("GET", "/keys/{key_id}", "person", "One API key", gives=wallet.Key)
UPDATE_KEY = Endpoint(
    "PATCH", "/keys/{key_id}", "person", "Change an API key", takes=wallet.UpdateKey, gives=wallet.Key
)
ROTATE_KEY = Endpoint(
    "POST",
    "/keys/{key_id}/rotate",
    "person",
    "Make a key like this one, and end this one",
    gives=wallet.MadeKey,
)
REVOKE_KEY = Endpoint("DELETE", "/keys/{key_id}", "person", "End an API key for good", gives=wallet.Key)
WALLET = Endpoint("GET", "/wallet", "person", "Balance, holds and limits", gives=wallet.Wallet)
TRANSFERS = Endpoint(
    "GET", "/wallet/transfers", "person", "Every change of the balance", query=wallet.TransfersQuery,
    gives=wallet.Transfers,
)  # fmt: skip
TRANSFERS_CSV = Endpoint(
    "GET", "/wallet/transfers.csv", "person", "The same as a table, at most 100,000 rows", query=wallet.TransfersQuery,
    media="text/csv",
)  # fmt: skip
REDEEM = Endpoint(
    "POST", "/wallet/codes", "person", "Redeem a code", takes=wallet.RedeemCode, gives=wallet.Redeemed
)
CALLS = Endpoint(
    "GET", "/calls", "person", "The account's calls", query=wallet.CallsQuery, gives=wallet.Calls
)
CALLS_CSV = Endpoint(
    "GET", "/calls.csv", "person", "The same as a table, at most 100,000 rows", query=wallet.CallsQuery,
    media="text/csv",
)  # fmt: skip
RECEIPT = Endpoint("GET", "/calls/{request_id}", "person", "The receipt of a call", gives=ReceiptView)

TRAFFIC = Endpoint(
    "GET", "/operator/traffic", "operator", "What the whole site does", query=operator.TrafficQuery,
    gives=operator.Traffic,
)  # fmt: skip
CHANNELS = Endpoint("GET", "/operator/channels", "operator", "Every channel", gives=channels.Channels)
MAKE_CHANNEL = Endpoint(
    "POST", "/operator/channels", "operator", "Make a channel", takes=channels.MakeChannel, gives=channels.Channel,
    is_dangerous=True,
)  # fmt: skip
SET_CHANNEL_STATES = Endpoint(
    "POST", "/operator/channels/states", "operator", "Give several channels a state", takes=channels.SetStates,
    gives=channels.Channels,
)  # fmt: skip
CHANNEL = Endpoint("GET", "/operator/channels/{name}", "operator", "One channel", gives=channels.Channel)
UPDATE_CHANNEL = Endpoint(
    "PATCH", "/operator/channels/{name}", "operator", "Change a channel", takes=channels.UpdateChannel,
    gives=channels.Channel, is_dangerous=True,
)  # fmt: skip
COPY_CHANNEL = Endpoint(
    "POST", "/operator/channels/{name}/copy", "operator", "Make a channel like this one", takes=channels.CopyChannel,
    gives=channels.Channel, is_dangerous=True,
)  # fmt: skip
TEST_CHANNEL = Endpoint(
    "POST", "/operator/channels/{name}/test", "operator", "Send a small request through it", takes=channels.TestChannel,
    gives=channels.TestResults,
)  # fmt: skip
DELETE_CHANNEL = Endpoint(
    "DELETE", "/operator/channels/{name}", "operator", "Delete a channel", is_dangerous=True
)
ADD_UPSTREAM_KEY = Endpoint(
    "POST", "/operator/channels/{name}/keys", "operator", "Give a channel one more key", takes=channels.AddUpstreamKey,
    gives=channels.Channel, is_dangerous=True,
)  # fmt: skip
REMOVE_UPSTREAM_KEY = Endpoint(
    "DELETE", "/operator/channels/{name}/keys/{key}", "operator", "Take a key from a channel", gives=channels.Channel,
    is_dangerous=True,
)  # fmt: skip
PRICES = Endpoint("GET", "/operator/prices", "operator", "Models with prices", gives=channels.PricedModels)
PRICE_VERSIONS = Endpoint(
    "GET",
    "/operator/prices/{model:path}",
    "operator",
    "Every version of a price",
    gives=channels.PriceVersions,
)
PREVIEW_PRICE = Endpoint(
    "POST", "/operator/prices/preview", "operator", "What a new price would change", takes=channels.SetPrice,
    gives=channels.PricePreview,
)  # fmt: skip
SET_PRICE = Endpoint(
    "POST", "/operator/prices", "operator", "Make a new version of a price", takes=channels.SetPrice,
    gives=channels.Price, is_dangerous=True,
)  # fmt: skip
CATALOGUE = Endpoint(
    "GET", "/operator/catalogue", "operator", "What the shipped catalogue knows", query=channels.CatalogueQuery,
    gives=channels.Catalogue,
)  # fmt: skip
ACCOUNTS = Endpoint(
    "GET", "/operator/accounts", "operator", "Accounts", query=operator.AccountsQuery, gives=operator.Accounts
)
ACCOUNT = Endpoint(
    "GET", "/operator/accounts/{account_id}", "operator", "One account", gives=operator.AccountDetail
)
MAKE_PERSON = Endpoint(
    "POST", "/operator/people", "operator", "Make a person with an account", takes=operator.MakePerson,
    gives=operator.Person, is_dangerous=True,
)  # fmt: skip
SET_ROLE = Endpoint(
    "PUT", "/operator/people/{user_id}/role", "operator", "Make a person an operator, or no more",
    takes=operator.SetRole, gives=operator.Person, is_dangerous=True,
)  # fmt: skip
SET_STATUS = Endpoint(
    "PUT", "/operator/accounts/{account_id}/status", "operator", "Suspend an account, or let it go on",
    takes=operator.SetStatus, gives=operator.AccountDetail, is_dangerous=True,
)  # fmt: skip
CREDIT = Endpoint(
    "POST", "/operator/accounts/{account_id}/credit", "operator", "Add to a balance, or take from it",
    takes=operator.Credit, gives=wallet.Wallet, is_dangerous=True,
)  # fmt: skip
SET_ACCOUNT_LIMITS = Endpoint(
    "PUT", "/operator/accounts/{account_id}/limits", "operator", "Give an account its limits", takes=wallet.Limits,
    gives=operator.AccountDetail,
)  # fmt: skip
SET_ACCOUNT_GROUP = Endpoint(
    "PUT", "/operator/accounts/{account_id}/group", "operator", "Put an account into a group",
    takes=operator.SetGroup, gives=operator.AccountDetail,
)  # fmt: skip
ACCOUNT_TRANSFERS = Endpoint(
    "GET", "/operator/accounts/{account_id}/transfers", "operator", "Every change of an account's balance",
    query=wallet.TransfersQuery, gives=wallet.Transfers,
)  # fmt: skip
GROUPS = Endpoint("GET", "/operator/groups", "operator", "Every group", gives=operator.Groups)
PUT_GROUP = Endpoint(
    "PUT", "/operator/groups", "operator", "Make a group, or replace what it says", takes=operator.Group,
    gives=operator.Group, is_dangerous=True,
)  # fmt: skip
DELETE_GROUP = Endpoint(
    "DELETE", "/operator/groups/{name}", "operator", "Remove a group that no account is in", is_dangerous=True
)
CODE_BATCHES = Endpoint(
    "GET", "/operator/codes", "operator", "Every batch of codes", gives=operator.CodeBatches
)
MAKE_CODES = Endpoint(
    "POST", "/operator/codes", "operator", "Make a batch of codes", takes=operator.MakeCodes,
    gives=operator.MadeCodes, is_dangerous=True,
)  # fmt: skip
CODE_CLAIMS = Endpoint(
    "GET", "/operator/codes/{batch}/claims", "operator", "Who claimed the codes of a batch", query=wallet.PageQuery,
    gives=operator.CodeClaims,
)  # fmt: skip
REVOKE_CODES = Endpoint(
    "POST", "/operator/codes/{batch}/revoke", "operator", "End what nobody has claimed", gives=operator.CodeBatch,
    is_dangerous=True,
)  # fmt: skip
INVITATIONS = Endpoint(
    "GET", "/operator/invitations", "operator", "The last invitations", gives=operator.Invitations
)
INVITE = Endpoint(
    "POST",
    "/operator/invitations",
    "operator",
    "Invite somebody",
    takes=operator.Invite,
    gives=operator.Invited,
)
REVOKE_INVITATION = Endpoint(
    "DELETE", "/operator/invitations/{invitation_id}", "operator", "Take an invitation back"
)
ANY_CALLS = Endpoint(
    "GET", "/operator/requests", "operator", "Requests of every account", query=operator.AllCallsQuery,
    gives=channels.AnyCalls,
)  # fmt: skip
REQUEST = Endpoint(
    "GET", "/operator/requests/{request_id}", "operator", "Why a request went where it went, and its receipt",
    gives=channels.RequestDetail,
)  # fmt: skip
SETTINGS = Endpoint(
    "GET",
    "/operator/settings",
    "operator",
    "What can be changed while the site runs",
    gives=operator.SiteSettings,
)
PUT_SETTINGS = Endpoint(
    "PUT", "/operator/settings", "operator", "Change it; refused when somebody else was faster",
    takes=operator.SiteSettings, gives=operator.SiteSettings, is_dangerous=True,
)  # fmt: skip
ACTIONS = Endpoint(
    "GET",
    "/operator/actions",
    "operator",
    "What operators did",
    query=operator.ActionsQuery,
    gives=operator.Actions,
)

ENDPOINTS = tuple(value for value in list(vars().values()) if isinstance(value, Endpoint))
