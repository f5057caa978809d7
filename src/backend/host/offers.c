/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/offers.h"

#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>

#include "base/known.h"

static struct ipcshare__offer **bucket_of(const struct ipcshare__offers *offers,
					  const uint64_t secret[2])
{
	/* The secret is random: any bits of it spread well. */
	return (struct ipcshare__offer **)&offers->bucket[secret[0] % IPCSHARE__OFFER_BUCKETS];
}

int ipcshare__offers_add(struct ipcshare__offers *offers, const struct ipcshare__offer *what,
			 struct ipcshare__offer **out)
{
	struct ipcshare__offer *offer = malloc(sizeof(*offer));
	struct ipcshare__offer **bucket = bucket_of(offers, what->secret);

	if (!offer)
		return IPCSHARE_ERR_NO_MEMORY;
	*offer = *what;
	offer->next = *bucket;
	*bucket = offer;
	*out = offer;
	return 0;
}

static void offer_free(struct ipcshare__offer *offer)
{
	free(offer->grants);
	free(offer);
}

void ipcshare__offers_remove(struct ipcshare__offers *offers, struct ipcshare__offer *offer)
{
	struct ipcshare__offer **at = bucket_of(offers, offer->secret);

	while (*at != offer)
		at = &(*at)->next;
	*at = offer->next;
	offer_free(offer);
}

void ipcshare__offers_clear(struct ipcshare__offers *offers)
{
	for (size_t i = 0; i < IPCSHARE__OFFER_BUCKETS; i++)
		for (struct ipcshare__offer *o = offers->bucket[i], *next; o; o = next) {
			next = o->next;
			offer_free(o);
			offers->bucket[i] = next;
		}
}

static struct ipcshare__grant *grant_of(const struct ipcshare__offer *offer,
					const struct ipcshare__identity *id)
{
	for (size_t i = 0; i < offer->ngrants; i++)
		if (ipcshare__identity_same(&offer->grants[i].id, id))
			return &offer->grants[i];
	return NULL;
}

int ipcshare__offer_grant(struct ipcshare__offer *offer, const struct ipcshare__identity *ids,
			  size_t n, enum ipcshare__access access)
{
	struct ipcshare__grant *grants = offer->grants, *known;

	if (offer->ngrants + n > offer->capacity) {
		grants = realloc(grants, (offer->ngrants + n) * sizeof(*grants));
		if (!grants)
			return IPCSHARE_ERR_NO_MEMORY;
		offer->grants = grants;
		offer->capacity = offer->ngrants + n;
	}
	ipcshare__known(grants || !n);
	for (size_t i = 0; i < n; i++) {
		known = grant_of(offer, &ids[i]);
		if (known && known->access != IPCSHARE__READ_WRITE)
			known->access = access;
		if (!known)
			grants[offer->ngrants++] = (struct ipcshare__grant){ ids[i], access };
	}
	return 0;
}

static const struct ipcshare__grant *grant_to(const struct ipcshare__offer *offer,
					      const struct ipcshare__caller *caller)
{
	for (size_t i = 0; i < offer->ngrants; i++)
		if (ipcshare__caller_is(caller, &offer->grants[i].id))
			return &offer->grants[i];
	return NULL;
}

/* An open offer is for every process of this user. */
static int is_open_to(const struct ipcshare__offer *offer, const struct ipcshare__caller *caller)
{
	return offer->open && ipcshare__caller_is_our_user(caller);
}

int ipcshare__offers_know(const struct ipcshare__offers *offers,
			  const struct ipcshare__caller *caller)
{
	for (size_t i = 0; i < IPCSHARE__OFFER_BUCKETS; i++)
		for (const struct ipcshare__offer *o = offers->bucket[i]; o; o = o->next)
			if (grant_to(o, caller) || is_open_to(o, caller))
				return 1;
	return 0;
}

int ipcshare__offers_find(const struct ipcshare__offers *offers,
			  const struct ipcshare__caller *caller,
			  const struct ipcshare__broker_get *get,
			  const struct ipcshare__offer **out)
{
	const struct ipcshare__grant *grant;
	const struct ipcshare__offer *o;

	for (o = *bucket_of(offers, get->secret); o; o = o->next)
		if (!memcmp(o->secret, get->secret, sizeof(o->secret)))
			break;
	if (!o)
		return IPCSHARE_ERR_STALE;
	grant = grant_to(o, caller);
	if (!grant && !is_open_to(o, caller))
		return IPCSHARE_ERR_NOT_ALLOWED;
	if (grant && grant->access == IPCSHARE__READ_ONLY && get->access != IPCSHARE__READ_ONLY)
		return IPCSHARE_ERR_READ_ONLY;
	if (o->paused)
		return IPCSHARE_ERR_BUSY;
	*out = o;
	return 0;
}
