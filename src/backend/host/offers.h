/* SPDX-License-Identifier: BSD-3-Clause */
/* What a broker has on offer, and to whom. Callers hold the broker's lock. */
#ifndef IPCSHARE_BACKEND_HOST_OFFERS_H
#define IPCSHARE_BACKEND_HOST_OFFERS_H

#include "base/identity.h"
#include "base/wire.h"

#define IPCSHARE__OFFER_BUCKETS 1024

struct ipcshare__grant {
	struct ipcshare__identity id;
	enum ipcshare__access access;
};

struct ipcshare__offer {
	struct ipcshare__offer *next;
	uint64_t secret[2];
	int fd; /* the memory's own; the offer only borrows it */
	uint64_t offset, length;
	int open;
	int paused;
	struct ipcshare__grant *grants;
	size_t ngrants, capacity;
};

struct ipcshare__offers {
	struct ipcshare__offer *bucket[IPCSHARE__OFFER_BUCKETS];
};

int ipcshare__offers_add(struct ipcshare__offers *offers, const struct ipcshare__offer *what,
			 struct ipcshare__offer **out);
void ipcshare__offers_remove(struct ipcshare__offers *offers, struct ipcshare__offer *offer);
void ipcshare__offers_clear(struct ipcshare__offers *offers);
int ipcshare__offer_grant(struct ipcshare__offer *offer, const struct ipcshare__identity *ids,
			  size_t n, enum ipcshare__access access);

/* Not 0 if @caller is on any whitelist, or may have what is open. */
int ipcshare__offers_know(const struct ipcshare__offers *offers,
			  const struct ipcshare__caller *caller);

/* May @caller have what @get asks for? 0 and the offer, or the status to answer. */
int ipcshare__offers_find(const struct ipcshare__offers *offers,
			  const struct ipcshare__caller *caller,
			  const struct ipcshare__broker_get *get,
			  const struct ipcshare__offer **out);

#endif
