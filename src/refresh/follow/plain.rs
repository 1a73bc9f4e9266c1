//! Values in the plain form in which rows are compared byte by byte.
//!
//! A value may be stored in several forms: compressed or not, out of line or not, and in composite values each attribute again, with or without
//! attributes that were added to the type later.
//! Invariant: values that were equal bytes when their query computed them are equal bytes afterwards. Called by bag.
//! Source: access/common/heaptuple.c; utils/adt/rowtypes.c, record_image_cmp.

use crate::pg::relation::Relation;
use crate::pg::tupdesc;
use pgrx::pg_sys::{self, Datum, Oid};

/// How values of an attribute become plain.
#[derive(Clone, Copy)]
pub enum Form {
    AsIs,
    Fetched,
    /// A composite value, or an array of them.
    Deep(Oid),
}

impl Form {
    /// For each attribute of a relation.
    pub fn all(rel: &Relation) -> Vec<Form> {
        (0..rel.natts())
            .map(|i| rel.attribute(i))
            .map(|att| if att.attisdropped { Form::flat(att.attlen) } else { Form::of(att.atttypid, att.attlen) })
            .collect()
    }

    fn flat(len: i16) -> Form {
        if len == -1 { Form::Fetched } else { Form::AsIs }
    }

    fn of(typid: Oid, len: i16) -> Form {
        if len != -1 {
            return Form::AsIs;
        }
        // SAFETY: look-ups in system caches.
        unsafe {
            let base = pg_sys::getBaseType(typid);
            let element = pg_sys::get_element_type(base);
            let element = if element == pg_sys::InvalidOid { base } else { pg_sys::getBaseType(element) };
            let is_row =
                element == pg_sys::RECORDOID || pg_sys::get_typtype(element) as u8 == pg_sys::TYPTYPE_COMPOSITE;
            if is_row { Form::Deep(base) } else { Form::Fetched }
        }
    }

    /// The value in plain form, in the current memory context.
    ///
    /// # Safety
    /// The value is one of the attribute.
    pub unsafe fn plain(self, value: Datum) -> Datum {
        // SAFETY: the value is of the type that the form was made for, as the caller promises.
        unsafe {
            match self {
                Form::AsIs => value,
                Form::Fetched => pg_sys::pg_detoast_datum(value.cast_mut_ptr()).into(),
                Form::Deep(typid) => match pg_sys::get_element_type(typid) {
                    pg_sys::InvalidOid => row(value),
                    element => array(value, element),
                },
            }
        }
    }
}

/// Whether a relation has values of types whose functions may leave bytes undefined: base types that are not the server's own, also in
/// arrays, ranges and domains. Equal values of such types can differ in the padding of a C struct, as in PostGIS' box2d.
pub fn is_loose(rel: &Relation) -> bool {
    // SAFETY: look-ups in system caches.
    let loose = |typid: Oid| unsafe {
        let base = pg_sys::getBaseType(typid);
        let element = pg_sys::get_base_element_type(base);
        let of = if element == pg_sys::InvalidOid { base } else { pg_sys::getBaseType(element) };
        of.to_u32() >= pg_sys::FirstNormalObjectId && pg_sys::get_typtype(of) as u8 != pg_sys::TYPTYPE_ENUM
    };
    (0..rel.natts()).map(|i| rel.attribute(i)).any(|att| !att.attisdropped && loose(att.atttypid))
}

/// # Safety
/// A composite value, which says what type it has.
unsafe fn row(value: Datum) -> Datum {
    // SAFETY: a composite value, which says what type it has.
    unsafe {
        let header = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let of = (*header).t_choice.t_datum;
        let desc = pg_sys::lookup_rowtype_tupdesc(of.datum_typeid, of.datum_typmod);
        let natts = (*desc).natts as usize;
        let length = pgrx::varsize_4b(header.cast::<pg_sys::varlena>()) as u32;
        let mut tuple = pg_sys::HeapTupleData { t_len: length, t_data: header, ..Default::default() };
        let (mut values, mut nulls) = (vec![Datum::from(0usize); natts], vec![true; natts]);
        pg_sys::heap_deform_tuple(&mut tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
        for i in 0..natts {
            let att = &*tupdesc::attr(desc, i);
            nulls[i] |= att.attisdropped;
            if !nulls[i] {
                values[i] = Form::of(att.atttypid, att.attlen).plain(values[i]);
            }
        }
        let formed = pg_sys::heap_form_tuple(desc, values.as_mut_ptr(), nulls.as_mut_ptr());
        let copy = pg_sys::heap_copy_tuple_as_datum(formed, desc);
        if (*desc).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(desc);
        }
        copy
    }
}

/// # Safety
/// An array of this element type.
unsafe fn array(value: Datum, element: Oid) -> Datum {
    // SAFETY: an array of this element type.
    unsafe {
        let array = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let (mut len, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(element, &mut len, &mut by_value, &mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(array, element, i32::from(len), by_value, align, &mut values, &mut nulls, &mut count);
        let form = Form::of(element, len);
        for i in 0..count as usize {
            if !*nulls.add(i) {
                *values.add(i) = form.plain(*values.add(i));
            }
        }
        // As the macros of utils/array.h find them.
        let dims = array.add(1).cast::<i32>();
        let bounds = dims.add((*array).ndim as usize);
        let built = pg_sys::construct_md_array(
            values,
            nulls,
            (*array).ndim,
            dims,
            bounds,
            element,
            i32::from(len),
            by_value,
            align,
        );
        built.into()
    }
}
