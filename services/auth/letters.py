"""What messages say, in English and Chinese, as plain text and as simple HTML. Pure.

A link carries its token behind the `#`: browsers send that part to no server, and no log has it.
"""

import html

import msgspec

from shared.contracts.people import Language

CONFIRM_PATH = "/confirm-email#token="
RESET_PATH = "/reset-password#token="
SIGN_UP_PATH = "/sign-up#invitation="
SIGN_IN_PATH = "/sign-in"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message, ready to be sent."""

    subject: str
    text: str
    html: str


class _Words(msgspec.Struct, frozen=True):
    subject: str
    before: str
    action: str
    after: str


_WORDS: dict[str, dict[Language, _Words]] = {
    "confirm_email": {
        "en": _Words(
            "Confirm your e-mail address for {site}",
            "Welcome to {site}. One step is left: confirm that this address is yours.",
            "Confirm the address",
            "The link is good for 24 hours, and once. If you have not signed up, ignore this message: nothing happens then.",
        ),
        "zh": _Words(
            "请确认您在 {site} 的邮箱地址",
            "欢迎使用 {site}。只差一步：请确认这是您的邮箱地址。",
            "确认邮箱地址",
            "链接 24 小时内有效，且只能使用一次。如果您没有注册，请忽略本邮件，不会有任何影响。",
        ),
    },
    "known_email": {
        "en": _Words(
            "You already have an account at {site}",
            "Somebody, probably you, wanted to sign up at {site} with this address. It already has an account: sign in. "
            "If you have forgotten the password, you can ask for a new one there.",
            "Sign in",
            "If it was not you, ignore this message: nothing has changed.",
        ),
        "zh": _Words(
            "您在 {site} 已有账户",
            "有人（可能是您本人）尝试使用此邮箱在 {site} 注册。该邮箱已有账户，请直接登录；如果忘记密码，可在登录页重置。",
            "登录",
            "如果不是您本人操作，请忽略本邮件，账户没有任何变化。",
        ),
    },
    "reset_password": {
        "en": _Words(
            "A new password for {site}",
            "Somebody, probably you, asked for a new password at {site}.",
            "Choose a new password",
            "The link is good for one hour, and once. If it was not you, ignore this message: your password stays as it is.",
        ),
        "zh": _Words(
            "重置您在 {site} 的密码",
            "有人（可能是您本人）申请重置 {site} 的密码。",
            "设置新密码",
            "链接一小时内有效，且只能使用一次。如果不是您本人操作，请忽略本邮件，密码不会改变。",
        ),
    },
    "password_changed": {
        "en": _Words(
            "Your password for {site} was changed",
            "The password of your account at {site} was changed just now, and every other place was signed out.",
            "Sign in",
            "If it was not you, ask for a new password at once, on the page where you sign in.",
        ),
        "zh": _Words(
            "您在 {site} 的密码已更改",
            "您在 {site} 的账户密码刚刚被更改，其他登录会话均已退出。",
            "登录",
            "如果不是您本人操作，请立即在登录页重置密码。",
        ),
    },
    "invitation": {
        "en": _Words(
            "An invitation to {site}",
            "You are invited to {site}.",
            "Sign up",
            "The link is good for one person. If you do not know what this is about, ignore this message.",
        ),
        "zh": _Words(
            "邀请您加入 {site}",
            "您受邀加入 {site}。",
            "注册",
            "链接仅供一人使用。如果您不了解此邀请，请忽略本邮件。",
        ),
    },
}


def write(kind: str, language: Language, *, site: str, link: str) -> Letter:
    """Return the letter of this kind, of the site named `site`. Raises: KeyError for a kind that there is not."""
    words = _WORDS[kind][language]
    subject, before, after = (each.format(site=site) for each in (words.subject, words.before, words.after))
    text = f"{before}\n\n{words.action}:\n{link}\n\n{after}\n"
    return Letter(
        subject=subject,
        text=text,
        html=(
            f'<!doctype html><html lang="{language}"><body style="font-family:sans-serif;line-height:1.5;max-width:36em">'
            f'<p>{html.escape(before)}</p><p><a href="{html.escape(link)}">{html.escape(words.action)}</a></p>'
            f'<p style="word-break:break-all">{html.escape(link)}</p><p>{html.escape(after)}</p></body></html>\n'
        ),
    )
