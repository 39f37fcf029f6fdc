/*
 * email.c: e-mail addresses, as the mailbox behind them.
 */
#include "crm_member.h"
#include "text/text.h"

typedef struct Rewrite
{
	const char *from;
	const char *to;
} Rewrite;

/* Domains as they are mistyped, and second names of one mailbox. */
static const Rewrite domains[] = {
	{"googlemail.com", "gmail.com"},
	{"gmial.com", "gmail.com"},
	{"gamil.com", "gmail.com"},
	{"gmai.com", "gmail.com"},
	{"gmali.com", "gmail.com"},
	{"gnail.com", "gmail.com"},
	{"gmail.con", "gmail.com"},
	{"gmail.cm", "gmail.com"},
	{"gmail.co", "gmail.com"},
	{"gmaill.com", "gmail.com"},
	{"gmail.cn", "gmail.com"},
	{"qq.con", "qq.com"},
	{"qq.cm", "qq.com"},
	{"qq.co", "qq.com"},
	{"qq.cn", "qq.com"},
	{"qq.om", "qq.com"},
	{"vip.qq.con", "vip.qq.com"},
	{"163.con", "163.com"},
	{"163.cn", "163.com"},
	{"163.cm", "163.com"},
	{"163.co", "163.com"},
	{"126.con", "126.com"},
	{"126.cn", "126.com"},
	{"126.cm", "126.com"},
	{"139.con", "139.com"},
	{"139.cn", "139.com"},
	{"sina.con", "sina.com"},
	{"sian.com", "sina.com"},
	{"sina.cm", "sina.com"},
	{"foxmail.con", "foxmail.com"},
	{"foxmial.com", "foxmail.com"},
	{"hotmial.com", "hotmail.com"},
	{"hotmal.com", "hotmail.com"},
	{"hotmail.con", "hotmail.com"},
	{"outlok.com", "outlook.com"},
	{"outlook.con", "outlook.com"},
	{"yahoo.con", "yahoo.com"},
	{"yaho.com", "yahoo.com"},
	{"yahooo.com", "yahoo.com"},
	{"icloud.con", "icloud.com"},
	{"iclod.com", "icloud.com"},
};

/* Typed to get past a form. */
static const char *const nobody[] = {
	"no",       "none", "null",  "na",  "n/a", "noemail", "nomail",
	"no-email", "test", "email", "abc", "a",   "aa",      "aaa",
	"xxx",      "xx",   "x",     "123", "1",   "noreply", "no-reply",
};

static bool
AllDigits(const char *s)
{
	return strspn(s, "0123456789") == strlen(s);
}

char *
NormalizeEmail(const char *s)
{
	char *folded = FoldText(s);
	char *o = folded, *stop;
	char *local = folded, *domain, *plus;

	/* the full stop of a Chinese keyboard */
	while ((stop = strstr(folded, "。")) != NULL)
	{
		*stop = '.';
		memmove(stop + 1, stop + 3, strlen(stop + 3) + 1);
	}
	if (strncmp(folded, "mailto:", 7) == 0)
		local = o = folded + 7;
	for (char *c = local; *c; c++)
	{
		if (*c != ' ' && *c != '<' && *c != '>')
			*o++ = *c;
	}
	*o = '\0';
	while (o > local && (o[-1] == '.' || o[-1] == ',' || o[-1] == ';'))
		*--o = '\0';

	domain = strchr(local, '@');
	if (domain == NULL || domain == local || strchr(domain + 1, '@') != NULL)
		return NULL;
	*domain++ = '\0';
	for (int i = 0; i < lengthof(domains); i++)
	{
		if (strcmp(domain, domains[i].from) == 0)
			domain = pstrdup(domains[i].to);
	}
	if (strncmp(domain, "example.", 8) == 0)
		return NULL;
	if (strchr(domain, '.') == NULL || domain[0] == '.' || strstr(domain, "..") != NULL)
		return NULL;

	plus = strchr(local, '+');
	if (plus != NULL && plus > local)
		*plus = '\0';
	if (strcmp(domain, "gmail.com") == 0)
	{
		o = local;
		for (char *c = local; *c; c++)
		{
			if (*c != '.')
				*o++ = *c;
		}
		*o = '\0';
	}
	for (int i = 0; i < lengthof(nobody); i++)
	{
		if (strcmp(local, nobody[i]) == 0)
			return NULL;
	}
	/* a QQ number has at least five digits */
	if (strcmp(domain, "qq.com") == 0 && AllDigits(local) && strlen(local) < 5)
		return NULL;
	if (local[0] == '\0')
		return NULL;
	return psprintf("%s@%s", local, domain);
}
