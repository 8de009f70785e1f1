from django.db import transaction
from django.http import JsonResponse

from shop.models import Order


def orders(request):
    """POST places an order for the item in the body; each answer is what there is."""
    if request.method == "POST":
        with transaction.atomic():
            order = Order.objects.create(item=request.body.decode())
            Order.objects.filter(pk=order.pk).update(paid=True)
    return JsonResponse({"paid": Order.objects.filter(paid=True).count()})
